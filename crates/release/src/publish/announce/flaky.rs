//! Slipway on its bad days: it fails, cuts off, says nothing, or records and loses its answer.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::publish::refusal::Kind;

/// What it does with a request.
#[derive(Clone, Copy, Debug)]
enum Mood {
    /// It says so, and nothing is recorded.
    Fails(&'static str),
    /// It closes the connection before anything is recorded.
    Drops,
    /// It takes the request and never answers.
    Hangs,
    /// It records, and its answer does not arrive.
    RecordsAndDrops,
    RecordsAndHangs,
}

/// What it saw and what it has: keys with their bodies.
#[derive(Default)]
struct Seen {
    asked: Vec<(String, String)>,
    recorded: Vec<(String, String)>,
}

struct Flaky {
    slipway: Slipway,
    seen: Arc<Mutex<Seen>>,
}

impl Flaky {
    /// It is well again after these.
    async fn with(moods: &[Mood]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, mut moods) = (Arc::<Mutex<Seen>>::default(), VecDeque::from(moods.to_vec()));
        let kept = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, moods.pop_front(), Arc::clone(&kept)));
            }
        });
        let pace = Pace {
            attempt: Duration::from_millis(400),
            all: Duration::from_secs(8),
            pause: Duration::from_millis(50),
        };
        let releases = format!("http://{address}/v1/releases").parse().unwrap();
        Self { slipway: Slipway { releases, token: Secret::new("t"), pace }, seen }
    }

    async fn record(&self) -> (Result<(), Refusal>, String) {
        let said = Mutex::new(Vec::new());
        let say = |text: String| said.lock().unwrap().push(text);
        let recorded = self.slipway.record("{}", "release-1", &say).await;
        (recorded, said.into_inner().unwrap().join("\n"))
    }
}

/// One request on one connection.
async fn serve(stream: TcpStream, mood: Option<Mood>, seen: Arc<Mutex<Seen>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut key, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        match line.trim_end().split_once(": ") {
            Some(("idempotency-key", value)) => key = value.to_owned(),
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(_) => {}
            None if line.trim_end().is_empty() => break,
            None => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let asked = (key, String::from_utf8(body).unwrap());
    let answer = {
        let mut seen = seen.lock().unwrap();
        seen.asked.push(asked.clone());
        let records = !matches!(mood, Some(Mood::Fails(_) | Mood::Drops | Mood::Hangs));
        if records && !seen.recorded.contains(&asked) {
            seen.recorded.push(asked);
        }
        match mood {
            None => "201 Created\r\n",
            Some(Mood::Fails(answer)) => answer,
            Some(_) => "",
        }
    };
    match mood {
        Some(Mood::Hangs | Mood::RecordsAndHangs) => std::future::pending().await,
        Some(Mood::Drops | Mood::RecordsAndDrops) => Ok(()),
        _ => {
            let head = format!("HTTP/1.1 {answer}content-length: 2\r\nconnection: close\r\n\r\n{{}}");
            stream.get_mut().write_all(head.as_bytes()).await
        }
    }
}

#[tokio::test]
async fn a_slipway_that_fails_for_a_while_is_asked_for_the_same_until_it_has_recorded_once() {
    for moods in [
        &[
            Mood::Fails("503 Service Unavailable\r\nretry-after: 0\r\n"),
            Mood::Fails("500 Internal Server Error\r\n"),
        ],
        &[Mood::Fails("429 Too Many Requests\r\nretry-after: 1\r\n"), Mood::Drops],
        &[Mood::Hangs, Mood::Fails("502 Bad Gateway\r\n")],
        // It has it, and the one who asked cannot know.
        &[Mood::RecordsAndDrops, Mood::RecordsAndHangs],
        &[Mood::RecordsAndHangs, Mood::Fails("504 Gateway Timeout\r\n")],
    ] {
        let flaky = Flaky::with(moods).await;
        let (recorded, said) = flaky.record().await;
        assert!(recorded.is_ok(), "{moods:?}: {recorded:?}\n{said}");
        let seen = flaky.seen.lock().unwrap();
        let one = ("release-1".to_owned(), "{}".to_owned());
        assert_eq!(
            (seen.asked.as_slice(), seen.recorded.len()),
            ([(); 3].map(|()| one.clone()).as_slice(), 1)
        );
        assert_eq!(said.lines().count(), 2, "{said}");
    }
}

#[tokio::test]
async fn how_long_slipway_asks_to_be_left_alone_is_how_long_it_is() {
    let flaky = Flaky::with(&[Mood::Fails("503 Service Unavailable\r\nretry-after: 2\r\n")]).await;
    let begun = Instant::now();
    let (recorded, said) = flaky.record().await;
    assert!(recorded.is_ok() && begun.elapsed() >= Duration::from_secs(2), "{said}");
    insta::assert_snapshot!(said, @"Slipway: 503 Service Unavailable; once more in 2 s");
}

#[tokio::test]
async fn a_slipway_that_stays_away_is_given_up_with_the_last_reason() {
    for (mood, reason) in
        [(Mood::Hangs, "it does not answer"), (Mood::Fails("503 Service Unavailable\r\n"), "503")]
    {
        let mut flaky = Flaky::with(&[mood; 1000]).await;
        flaky.slipway.pace.all = Duration::from_millis(1500);
        let begun = Instant::now();
        let refusal = flaky.record().await.0.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(4));
        assert_eq!((refusal.kind, refusal.code), (Kind::Environment, "release-slipway"));
        assert!(refusal.message.contains(reason), "{}", refusal.message);
        assert!(flaky.seen.lock().unwrap().asked.len() > 1);
    }
}
