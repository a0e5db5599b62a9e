//! Wanting something else of a torrent than before, while it runs.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::torrent::Phase;
use super::{NodeLoop, Work};
use crate::choice::{Choice, Chosen};
use crate::disk::OpenError;
use crate::engine::event::{Input, TorrentId};
use crate::handle::{Role, SelectError};

/// Somebody who waits for his choice to be made.
pub(crate) struct Wish {
    pub(super) choice: Choice,
    pub(super) reply: oneshot::Sender<Result<(), SelectError>>,
}

/// What is wished of one torrent.
#[derive(Default)]
pub(super) struct Wishes {
    /// Waits until the files are checked.
    waiting: Option<Wish>,
    /// Counts those that were made ready for: the last one counts.
    begun: u64,
}

/// The disk is ready for a choice, or cannot be.
pub(crate) struct Chose {
    torrent: TorrentId,
    number: u64,
    wish: Wish,
    chosen: Arc<Chosen>,
    /// Gives what the user should know.
    result: Result<Vec<String>, OpenError>,
}

impl Wish {
    fn answer(self, answer: Result<(), SelectError>) {
        // Whoever asked may have gone.
        let _ = self.reply.send(answer);
    }
}

impl Wishes {
    /// Lets go of whoever waits: the torrent cannot go on.
    pub(super) fn give_up(&mut self) {
        self.waiting = None;
    }
}

impl NodeLoop {
    /// Begins to want something else of a torrent.
    pub(super) fn select(&mut self, torrent: TorrentId, wish: Wish) {
        let Some(state) = self.torrents.get_mut(&torrent) else {
            return wish.answer(Err(SelectError::NoSuchTorrent));
        };
        if state.role == Role::Seed {
            return wish.answer(Err(SelectError::SharedWhole));
        }
        match &state.phase {
            Phase::Failed => wish.answer(Err(SelectError::NoSuchTorrent)),
            Phase::Fetching(fetching) => {
                let checked = fetching
                    .partial
                    .as_ref()
                    .map_or(Ok(()), |partial| wish.choice.of(partial).map(drop).map_err(SelectError::Choice));
                if checked.is_ok() {
                    state.choice = wish.choice.clone();
                }
                wish.answer(checked);
            }
            Phase::Checking { .. } => {
                if let Some(overtaken) = state.wishes.waiting.replace(wish) {
                    overtaken.answer(Ok(()));
                }
            }
            Phase::Active(active) => {
                let chosen = match wish.choice.of(&active.metainfo) {
                    Ok(chosen) => Arc::new(chosen),
                    Err(error) => return wish.answer(Err(error.into())),
                };
                state.wishes.begun += 1;
                let (number, store, work) =
                    (state.wishes.begun, active.store.clone(), self.work.sender.clone());
                tokio::spawn(async move {
                    let result = store.choose(chosen.clone()).await;
                    let chose = Chose { torrent, number, wish, chosen, result };
                    // Fails only when the node is gone.
                    let _ = work.send(Work::Chose(Box::new(chose))).await;
                });
            }
        }
    }

    /// The files of a torrent are checked: what was wished meanwhile can be.
    pub(super) fn select_what_waits(&mut self, torrent: TorrentId) {
        let waiting = self.torrents.get_mut(&torrent).and_then(|state| state.wishes.waiting.take());
        if let Some(wish) = waiting {
            self.select(torrent, wish);
        }
    }

    pub(super) fn on_chose(&mut self, chose: Chose) {
        let Chose { torrent, number, wish, chosen, result } = chose;
        let warnings = match result {
            Ok(warnings) => warnings,
            Err(error) => return wish.answer(Err(error.into())),
        };
        warnings.into_iter().for_each(|warning| self.warn(torrent, warning));
        let verified = self.engine.verified(torrent).cloned();
        let state = self.torrents.get_mut(&torrent);
        let Some((state, verified)) = state.zip(verified) else {
            return wish.answer(Err(SelectError::NoSuchTorrent));
        };
        if number != state.wishes.begun {
            return wish.answer(Ok(()));
        }
        state.choice = wish.choice.clone();
        let Some(active) = state.active_mut() else {
            return wish.answer(Err(SelectError::NoSuchTorrent));
        };
        let selection = chosen.selection(active.metainfo.layout());
        active.choose(chosen, &verified);
        self.drive(Input::Select { torrent, selection });
        let is_finished = self.engine.is_finished(torrent);
        if let Some(active) = self.torrents.get_mut(&torrent).and_then(|state| state.active_mut()) {
            active.completed &= is_finished;
        }
        self.list(torrent);
        self.tell_progress();
        wish.answer(Ok(()));
    }
}
