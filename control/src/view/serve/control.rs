//! The control socket's server.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use super::FAREWELL;
use crate::view::document::LIVE_VERSION;
use crate::view::protocol::{Answer, Hello, PROTOCOL_VERSION, REQUEST_BYTES, Request, line};
use crate::view::sample::{Sampler, Watched};

/// Viewers at a time.
const VIEWERS: usize = 32;
/// How long a viewer may leave an answer unread before it is dropped.
const PATIENCE: Duration = Duration::from_secs(2);
/// Pause after the kernel refused a connection, as when the process has no file left.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves viewers until `ended`.
pub(super) async fn serve(
    listener: UnixListener,
    run: Arc<Watched>,
    mut ended: watch::Receiver<bool>,
) {
    let slots = Arc::new(Semaphore::new(VIEWERS));
    let mut viewers = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = viewers.join_next() => continue,
            _ = ended.changed() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!("accepting a viewer: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let viewer = Viewer::new(stream, Arc::clone(&run));
        let (ended, slot) = (ended.clone(), Arc::clone(&slots).try_acquire_owned());
        viewers.spawn(async move {
            let served = match slot {
                Ok(_slot) => viewer.serve(ended).await,
                Err(_) => viewer.refuse(format!("{VIEWERS} viewers are here already")).await,
            };
            if let Err(error) = served {
                tracing::debug!("a viewer went: {error}");
            }
        });
    }
    drop(listener);
    let all = async { while viewers.join_next().await.is_some() {} };
    let _ = timeout(FAREWELL, all).await;
}

/// One viewer. It gets what it asks for at its own pace; one that does not read is dropped.
struct Viewer {
    stream: UnixStream,
    run: Arc<Watched>,
    sampler: Sampler,
    /// What was read of requests and is not yet a line.
    asked: Vec<u8>,
    every: Option<Interval>,
}

impl Viewer {
    fn new(stream: UnixStream, run: Arc<Watched>) -> Self {
        Self { stream, run, sampler: Sampler::default(), asked: Vec::new(), every: None }
    }

    async fn refuse(mut self, why: String) -> io::Result<()> {
        self.say(&Answer::Error(why)).await
    }

    async fn serve(mut self, mut ended: watch::Receiver<bool>) -> io::Result<()> {
        let peer = self.stream.peer_cred()?;
        if !may_look(peer.uid(), nix::unistd::geteuid().as_raw()) {
            let why = format!("this run is not of user {}", peer.uid());
            return self.refuse(why).await;
        }
        let run = self.run.id.clone();
        let hello = Hello { protocol_version: PROTOCOL_VERSION, schema_version: LIVE_VERSION, run };
        self.say(&Answer::Hello(hello)).await?;
        loop {
            let mut piece = [0; 512];
            tokio::select! {
                read = self.stream.read(&mut piece) => match read? {
                    0 => return Ok(()),
                    len => self.asked.extend_from_slice(&piece[..len]),
                },
                () = tick(&mut self.every) => self.show().await?,
                _ = ended.changed() => {
                    if self.every.is_some() {
                        self.show().await?;
                    }
                    return Ok(());
                }
            }
            if !self.answer().await? {
                return Ok(());
            }
        }
    }

    /// Answers the whole lines that have come; `false` when there was one that is no request.
    async fn answer(&mut self) -> io::Result<bool> {
        while let Some(end) = self.asked.iter().position(|byte| *byte == b'\n') {
            let asked: Vec<u8> = self.asked.drain(..=end).collect();
            match Request::parse(&asked[..end]) {
                Ok(Request::Snapshot) => self.show().await?,
                Ok(Request::Plan) => {
                    let plan = Box::new(self.run.plan.clone());
                    self.say(&Answer::Plan(plan)).await?;
                }
                Ok(Request::Watch { interval_ms }) => {
                    let mut every = interval(Duration::from_millis(interval_ms));
                    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
                    self.every = Some(every);
                }
                Err(why) => {
                    self.say(&Answer::Error(why)).await?;
                    return Ok(false);
                }
            }
        }
        if self.asked.len() >= REQUEST_BYTES {
            let why = format!("a request has at most {REQUEST_BYTES} bytes");
            self.say(&Answer::Error(why)).await?;
            return Ok(false);
        }
        Ok(true)
    }

    async fn show(&mut self) -> io::Result<()> {
        let live = self.sampler.look(&self.run);
        self.say(&Answer::Live(Box::new(live))).await
    }

    async fn say(&mut self, answer: &Answer) -> io::Result<()> {
        let text = line(answer);
        match timeout(PATIENCE, self.stream.write_all(&text)).await {
            Ok(written) => written,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "it does not read")),
        }
    }
}

/// The user of the run, and root.
const fn may_look(peer: u32, own: u32) -> bool {
    peer == own || peer == 0
}

/// The next tick; never, where nothing was asked for.
async fn tick(every: &mut Option<Interval>) {
    match every {
        Some(every) => {
            every.tick().await;
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::may_look;

    #[test]
    fn only_the_runs_user_and_root_may_look() {
        assert!(may_look(1000, 1000) && may_look(0, 1000) && may_look(0, 0));
        assert!(!may_look(1000, 0) && !may_look(1001, 1000));
    }
}
