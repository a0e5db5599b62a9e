//! How often a node speaks, whatever others say.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use super::*;

fn rng() -> ChaCha8Rng {
    ChaCha8Rng::from_seed([5; 32])
}

fn seconds(secs: f64) -> Moment {
    Moment::ZERO + Duration::from_secs_f64(secs)
}

/// What is said until `end`, and when; before each deadline `disturb` may happen.
fn run(end: Moment, mut disturb: impl FnMut(&mut Timetable, Moment, &mut ChaCha8Rng)) -> Vec<(Moment, Due)> {
    let mut rng = rng();
    let mut timetable = Timetable::new(Moment::ZERO, &mut rng);
    let mut said = Vec::new();
    let mut now = Moment::ZERO;
    while now < end {
        disturb(&mut timetable, now, &mut rng);
        while let Some(due) = timetable.next(now, &mut rng) {
            said.push((now, due));
        }
        now = timetable.deadline().min(now + Duration::from_millis(100)).max(now + Duration::from_millis(1));
    }
    said
}

fn moments(said: &[(Moment, Due)], due: Due) -> Vec<Moment> {
    said.iter().filter(|(_, said)| *said == due).map(|(at, _)| *at).collect()
}

fn gaps(moments: &[Moment]) -> Vec<Duration> {
    moments.windows(2).map(|pair| pair[1].since(pair[0])).collect()
}

#[test]
fn a_newcomer_asks_at_once_and_then_less_and_less_often() {
    let asked = moments(&run(seconds(1000.0), |_, _, _| ()), Due::Ask);
    assert!(asked[0] <= seconds(0.12), "{asked:?}");
    let gaps = gaps(&asked);
    for (at, gap) in gaps.iter().enumerate() {
        let least = Duration::from_secs(1 << at.min(7)).min(LONGEST_INTERVAL);
        assert!(*gap >= least && *gap <= least.mul_f64(1.26), "{at}: {gap:?}");
    }
    assert!(asked.len() < 16, "{asked:?}");
}

#[test]
fn a_newcomer_tells_of_itself_twice() {
    let told = moments(&run(seconds(100.0), |_, _, _| ()), Due::Tell);
    assert_eq!(told.len(), 2);
    assert!(told[0] <= seconds(0.12));
    assert_eq!(gaps(&told), [ANSWER_GAP]);
}

#[test]
fn however_often_somebody_asks_there_is_one_answer_a_second() {
    let told = moments(&run(seconds(60.0), |timetable, now, rng| timetable.on_asked(now, 0, rng)), Due::Tell);
    assert!(gaps(&told).iter().all(|gap| *gap >= ANSWER_GAP), "{told:?}");
    assert!((45..=60).contains(&told.len()), "{}", told.len());
}

#[test]
fn an_answer_comes_soon_and_in_a_crowd_not_all_at_once() {
    for (peers, latest) in [(0, 0.12), (256, 2.68)] {
        let mut rng = rng();
        let delays: Vec<Duration> = (0..500)
            .map(|_| {
                let mut timetable = Timetable::new(Moment::ZERO, &mut rng);
                let now = seconds(1000.0);
                (timetable.tell_at, timetable.announcements, timetable.ask_at) = (None, 0, seconds(2000.0));
                timetable.on_asked(now, peers, &mut rng);
                timetable.deadline().since(now)
            })
            .collect();
        let longest = delays.iter().max().expect("some").as_secs_f64();
        let least = delays.iter().min().expect("some");
        assert!(*least >= LEAST_DELAY && longest <= latest && longest > latest * 0.9, "{longest}");
    }
}

#[test]
fn somebody_elses_question_stands_for_ours_once_we_have_settled() {
    let asked = moments(
        &run(seconds(2000.0), |timetable, now, rng| {
            if now >= seconds(10.0) {
                timetable.on_asked_for_us(now, rng);
            }
        }),
        Due::Ask,
    );
    // At 0, 1, 3, 7, 15 and 31 seconds, all a little late; then others do it.
    assert_eq!(asked.len(), 6, "{asked:?}");
}

#[test]
fn what_is_new_is_told_twice_and_never_sooner_than_a_second_after_the_last() {
    let news = [seconds(20.0), seconds(20.3), seconds(20.6)];
    let mut left = news.to_vec();
    let told = moments(
        &run(seconds(100.0), |timetable, now, rng| {
            while left.first().is_some_and(|at| *at <= now) {
                left.remove(0);
                timetable.announce(now, rng);
            }
        }),
        Due::Tell,
    );
    let after: Vec<&Moment> = told.iter().filter(|at| **at >= news[0]).collect();
    assert!(after.len() >= 2 && after.len() <= 4, "{told:?}");
    assert!(gaps(&told).iter().all(|gap| *gap >= ANSWER_GAP), "{told:?}");
    assert!(**after.last().expect("some") >= news[2], "the last news is told");
}
