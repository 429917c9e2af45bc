//! Whoever follows the events goes on with the next one when the server was killed: nothing is lost, nothing comes twice,
//! and it does not take long.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests too; clippy only knows functions marked so")]

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use orfeas_bus::{Bus, client, events, observe};
use orfeas_contract::{Code, Event, Failure, Stage, Timings, subjects};
use orfeas_tests::{PATIENCE, Setup, job};
use tokio::sync::mpsc;

const EVENTS: u64 = 400;
const KILLS: u64 = 4;

async fn say(bus: &Bus, number: u64) {
    let failure = Failure::new(Stage::Ingest, Code::NoSubject, "Nothing stands out.");
    let name = job(&format!("follow-{number}"));
    let event = Event::failed(name, orfeas_contract::now(), failure, 1, Some(number), Timings::default());
    events::publish_once(bus, &event, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_goes_on_after_every_kill_of_the_server() {
    let mut pipeline = Setup { services: &[], ..Setup::default() }.start().await;
    // From before the follower began: not its matter, so that it must begin with the right one.
    say(&pipeline.admin, 0).await;
    let mut followed = client::follow(&pipeline.bus, subjects::EVENTS_ALL.to_owned(), false).await.unwrap();
    let mut counted = observe::events_from(&pipeline.admin, 2).await.unwrap();

    // Said all the time, also while the server is away.
    let bus = pipeline.admin.clone();
    let (pace, mut allowed) = mpsc::unbounded_channel();
    let saying = tokio::spawn(async move {
        for number in 1..=EVENTS {
            say(&bus, number).await;
            allowed.recv().await.unwrap();
        }
    });
    let (mut names, mut sequences) = (Vec::new(), Vec::new());
    let mut longest = Duration::ZERO;
    for number in 1..=EVENTS {
        pace.send(()).unwrap();
        if number % (EVENTS / (KILLS + 1)) == 0 && number < EVENTS {
            pipeline.server.kill();
            pipeline.server.start_again();
        }
        let up = Instant::now();
        let both = async { (followed.next().await, counted.next().await) };
        let (event, count) = tokio::time::timeout(PATIENCE, both).await.expect("the next event comes");
        longest = longest.max(up.elapsed());
        names.push(event.unwrap().unwrap().job.to_string());
        let (sequence, event) = count.unwrap();
        sequences.push((sequence, event.unwrap().job.to_string()));
    }
    saying.await.unwrap();
    let expected: Vec<String> = (1..=EVENTS).map(|number| format!("follow-{number}")).collect();
    assert_eq!(names, expected);
    assert_eq!(sequences, (2..).zip(expected).collect::<Vec<_>>());
    println!("the longest wait for an event after the server was up again: {longest:?}");
    // A heartbeat of async-nats' own ordered consumer has 15 s; a machine under load must not fail here.
    assert!(longest < Duration::from_secs(10), "events came again only after {longest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_made_anew_is_followed_from_its_beginning() {
    let pipeline = Setup { services: &[], ..Setup::default() }.start().await;
    let mut followed = client::follow(&pipeline.bus, subjects::EVENTS_ALL.to_owned(), true).await.unwrap();
    let mut counted = observe::events_from(&pipeline.admin, 1).await.unwrap();
    for number in 1..=3 {
        say(&pipeline.admin, number).await;
        followed.next().await.unwrap().unwrap();
        counted.next().await.unwrap();
    }
    pipeline.nats.delete_stream(subjects::STREAM_EVENTS).await.unwrap();
    pipeline.wired().apply(&pipeline.admin).await.unwrap();
    say(&pipeline.admin, 4).await;
    let next = tokio::time::timeout(PATIENCE, followed.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(next.job, job("follow-4"));
    // Whoever keeps sequences must look for itself.
    assert!(tokio::time::timeout(PATIENCE, counted.next()).await.unwrap().is_none());
}
