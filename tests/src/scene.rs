//! A scene for processes to meet on: one scratch folder, and the commands everybody starts with.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::patience;
use crate::process::place::Place;
use crate::process::{Ended, Samara, run};

/// Within this time a process says that it is up, and commands without a transfer end.
pub const PROMPT: Duration = Duration::from_secs(60);

/// A scratch folder; every process gets a folder of its own state in it.
pub struct Scene {
    folder: TempDir,
    place: Place,
}

/// A running tracker.
pub struct Tracker {
    /// The process.
    pub process: Samara,
    /// Its HTTP announce URL.
    pub http: String,
    /// Its UDP announce URL.
    pub udp: String,
}

impl Tracker {
    /// Waits until it says where it listens.
    fn that_starts(mut process: Samara) -> Self {
        let (mut http, mut udp) = (None, None);
        while http.is_none() || udp.is_none() {
            let event = process.wait_for("listening", PROMPT);
            let address = text(&event, "address");
            match text(&event, "protocol").as_str() {
                "http" => http = Some(format!("http://{address}/announce")),
                "udp" => udp = Some(format!("udp://{address}/announce")),
                _ => {}
            }
        }
        let [http, udp] = [http, udp].map(|url| url.expect("the loop ends once both are known"));
        Self { process, http, udp }
    }
}

/// A running seed.
pub struct Seed {
    /// The process.
    pub process: Samara,
    /// The link it printed.
    pub magnet: String,
    /// The `.torrent` it shares.
    pub torrent: PathBuf,
    /// Where it can be dialled.
    pub addresses: Vec<String>,
}

impl Scene {
    /// An empty scene in the system's folder for temporary files.
    ///
    /// # Panics
    /// When that folder cannot be written.
    #[allow(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Self {
        Self::at(Place::loopback())
    }

    /// An empty scene whose processes run in `place`.
    ///
    /// # Panics
    /// When the system's folder for temporary files cannot be written.
    pub fn at(place: Place) -> Self {
        Self::under(&std::env::temp_dir(), place)
    }

    /// An empty scene in a folder of its own below `folder`.
    ///
    /// # Panics
    /// When `folder` cannot be written.
    pub fn under(folder: &Path, place: Place) -> Self {
        let folder = tempfile::Builder::new().prefix("samara-").tempdir_in(folder);
        Self { folder: folder.expect("the folder for scratch is writable"), place }
    }

    /// A path in the scratch folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The state folder of the process with this name.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn state(&self, name: &str) -> PathBuf {
        let state = self.path(&format!("state of {name}"));
        std::fs::create_dir_all(&state).expect("the scratch folder is writable");
        state
    }

    /// Starts a command that stays.
    pub fn start(&self, name: &str, args: &[&str]) -> Samara {
        self.start_at(&self.place, name, args)
    }

    /// Starts a command that stays, in a place of its own.
    pub fn start_at(&self, place: &Place, name: &str, args: &[&str]) -> Samara {
        Samara::start_at(place, name, &self.state(name), args)
    }

    /// Runs a command that ends by itself, soon.
    pub fn run(&self, args: &[&str]) -> Ended {
        run(&self.state("commands"), args, PROMPT)
    }

    /// Starts a tracker on free ports.
    pub fn tracker(&self) -> Tracker {
        self.tracker_at("127.0.0.1:0")
    }

    /// Starts `samara tracker ARGS` on free ports of the address `ip`, in a place of its own.
    pub fn tracker_in(&self, place: &Place, ip: &str, args: &[&str]) -> Tracker {
        let any = format!("{ip}:0");
        let args = [&["tracker", "--http", &any, "--udp", &any], args].concat();
        Tracker::that_starts(self.start_at(place, "tracker", &args))
    }

    /// Starts a tracker whose HTTP side listens on `http`.
    ///
    /// # Panics
    /// When it does not say that it listens.
    pub fn tracker_at(&self, http: &str) -> Tracker {
        Tracker::that_starts(self.start("tracker", &["tracker", "--http", http, "--udp", "127.0.0.1:0"]))
    }

    /// Starts `samara seed ARGS` and waits until it shares.
    pub fn seed(&self, name: &str, args: &[&str]) -> Seed {
        self.seed_at(&self.place, name, args)
    }

    /// Starts `samara seed ARGS` in a place of its own and waits until it shares.
    pub fn seed_at(&self, place: &Place, name: &str, args: &[&str]) -> Seed {
        let mut process = self.start_at(place, name, &[&["seed"], args].concat());
        let event = process.wait_for("seeding", 3 * PROMPT);
        let addresses = event["addresses"].as_array().map_or(&[][..], Vec::as_slice);
        Seed {
            magnet: text(&event, "magnet"),
            torrent: self.state(name).join(text(&event, "torrent")),
            addresses: addresses.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            process,
        }
    }

    /// Starts `samara get X -o OUT --exit` and whatever else.
    pub fn get(&self, name: &str, source: &str, out: &Path, args: &[&str]) -> Samara {
        let out = path_text(out);
        self.start(name, &[&["get", source, "-o", &out, "--exit"], args].concat())
    }

    /// Makes a `.torrent` of `content` in this format, and returns its path.
    ///
    /// # Panics
    /// When `samara create` fails.
    pub fn create(&self, content: &Path, format: &str, args: &[&str]) -> PathBuf {
        let name = content.file_name().expect("content has a name").to_string_lossy();
        let torrent = self.path(&format!("{name}.{format}.torrent"));
        let (from, to) = (path_text(content), path_text(&torrent));
        let made = self.run(&[&["create", &from, "--format", format, "-o", &to], args].concat());
        assert_eq!(made.code, 0, "create failed: {}", made.stderr);
        torrent
    }
}

/// A field of an event that holds text.
///
/// # Panics
/// When it does not.
pub fn text(event: &Value, field: &str) -> String {
    event[field].as_str().unwrap_or_else(|| panic!("no text {field:?} in {event}")).to_owned()
}

/// A path as an argument.
///
/// # Panics
/// When it is not UTF-8.
pub fn path_text(path: &Path) -> String {
    path.to_str().expect("scratch paths are UTF-8").to_owned()
}

/// Bytes received in this session, over all sources, by a `complete` event.
///
/// # Panics
/// When the event does not say.
pub fn bytes_received(complete: &Value) -> u64 {
    let from = complete["bytes_from"].as_object().expect("complete says where the bytes came from");
    from.values().filter_map(Value::as_u64).sum()
}

/// Waits until a file that is being written holds at least this much on disk, holes not counted.
///
/// # Panics
/// When it does not within `limit`, or `process` ends first.
#[cfg(unix)]
pub fn wait_written(process: &mut Samara, path: &Path, bytes: u64, limit: Duration) {
    use std::os::unix::fs::MetadataExt;
    let end = std::time::Instant::now() + limit;
    while path.metadata().map_or(0, |metadata| metadata.blocks() * 512) < bytes {
        let waits = process.is_running() && std::time::Instant::now() < end && patience::is_over().is_none();
        assert!(waits, "{bytes} bytes did not arrive in {}\n{}", path.display(), process.story());
        std::thread::sleep(Duration::from_millis(2));
    }
}
