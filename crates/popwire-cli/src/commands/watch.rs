//! `popwire watch`: the accounts of the configuration, each at its interval, until a signal comes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use popwire::Login;
use popwire_retriever::SqliteLedger;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

use super::fetch::{AT_ONCE, Job, not_begun};
use crate::args::{FetchArgs, WatchArgs};
use crate::config::Config;
use crate::explain::{Exit, Problem};
use crate::output::{Output, Verbosity};
use crate::state;
use crate::text;

/// How long what is under way may take to finish, once a signal has come. What it does not finish, the next run does.
const GRACE: Duration = Duration::from_millis(1500);

/// The longest pause after failures.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// What wakes us.
enum Event {
    Stop,
    Reload,
    /// This account was fetched.
    Fetched {
        name: String,
        exit: Exit,
        at_least: Option<Duration>,
    },
}

pub(super) fn run(args: &WatchArgs, output: &mut Output) -> Result<Exit, Problem> {
    let stop = Arc::new(AtomicBool::new(false));
    let (tell, events) = channel();
    let mut watched = Watched::new(args, &Config::load()?, output)?;
    let ledger = Arc::new(state::open(&args.state, output)?);
    listen(tell.clone(), Arc::clone(&stop))?;
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    output.align(watched.accounts.keys().map(String::as_str));
    output.note(Verbosity::Normal, &format!("watching {}", watched.names()));
    while !stop.load(Ordering::Relaxed) {
        for name in watched.due() {
            watched.start(&name, &ledger, &stop, &tell, output);
        }
        match wait(&events, watched.pause()) {
            Some(Event::Stop) => break,
            Some(Event::Reload) => {
                let _ = sd_notify::notify(&[NotifyState::Reloading]);
                match Config::load().and_then(|config| Watched::new(args, &config, output)) {
                    Ok(new) => {
                        watched.replace(new);
                        output.note(Verbosity::Normal, &format!("watching {}", watched.names()));
                    }
                    // Those that were watched go on being watched.
                    Err(problem) => output.error(&problem),
                }
                let _ = sd_notify::notify(&[NotifyState::Ready]);
            }
            Some(Event::Fetched { name, exit, at_least }) => watched.fetched(&name, exit, at_least, output),
            None => {}
        }
    }
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    let end = Instant::now() + GRACE;
    while watched.running > 0 {
        match wait(&events, end.saturating_duration_since(Instant::now())) {
            Some(Event::Fetched { .. }) => watched.running -= 1,
            Some(_) => {}
            // Whatever is under way may be cut off at any moment: the ledger and the next run see to that.
            None => break,
        }
    }
    Ok(Exit::Ok)
}

fn wait(events: &Receiver<Event>, pause: Duration) -> Option<Event> {
    events.recv_timeout(pause).ok()
}

/// Hears signals from now on.
fn listen(tell: Sender<Event>, stop: Arc<AtomicBool>) -> Result<(), Problem> {
    let fault = |error: std::io::Error| {
        Problem::new(Exit::Software, format!("signals cannot be heard: {error}"), "Nothing was fetched.")
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(fault)?;
    let (mut interrupt, mut terminate, mut hang_up) = {
        let _context = runtime.enter();
        let listen = |kind| signal(kind).map_err(fault);
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?)
    };
    let hear = async move {
        loop {
            let event = tokio::select! {
                _ = interrupt.recv() => Event::Stop,
                _ = terminate.recv() => Event::Stop,
                _ = hang_up.recv() => Event::Reload,
            };
            if matches!(event, Event::Stop) {
                stop.store(true, Ordering::Relaxed);
            }
            if tell.send(event).is_err() {
                break;
            }
        }
    };
    let spawned = thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(hear));
    spawned.map(drop).map_err(fault)
}

/// The accounts, and when each is due.
struct Watched {
    accounts: BTreeMap<String, Watch>,
    /// How many are being fetched.
    running: usize,
}

struct Watch {
    config: Arc<Config>,
    login: Login,
    interval: Duration,
    next: Instant,
    /// In a row.
    failures: u32,
    running: bool,
}

impl Watched {
    /// Passwords are asked for now, and not again before the configuration is read anew.
    fn new(args: &WatchArgs, config: &Config, output: &mut Output) -> Result<Self, Problem> {
        let config = Arc::new(config.clone());
        let names: Vec<String> = match args.accounts.as_slice() {
            [] => config.accounts.keys().cloned().collect(),
            names => names.to_vec(),
        };
        let mut accounts = BTreeMap::new();
        for name in names {
            let job = Job::new(&name, Some(&config), &FetchArgs::default(), output)?;
            let login = job.account.login(output)?;
            let interval = config.interval(&name);
            let config = Arc::clone(&config);
            accounts.insert(
                name,
                Watch { config, login, interval, next: Instant::now(), failures: 0, running: false },
            );
        }
        if accounts.is_empty() {
            let what = "the configuration has no account";
            return Err(Problem::configuration(what, "docs/config.md tells how accounts are configured."));
        }
        Ok(Self { accounts, running: 0 })
    }

    /// Takes the accounts of another configuration; what goes on, goes on.
    fn replace(&mut self, new: Self) {
        let old = std::mem::replace(&mut self.accounts, new.accounts);
        for (name, watch) in old {
            if let Some(same) = self.accounts.get_mut(&name) {
                (same.running, same.failures) = (watch.running, watch.failures);
                // Not sooner than it would have been: servers count sign-ins.
                same.next = watch.next.min(Instant::now() + same.interval);
            }
        }
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.accounts.keys().map(String::as_str).collect();
        names.join(", ")
    }

    fn due(&self) -> Vec<String> {
        let now = Instant::now();
        let free = AT_ONCE.saturating_sub(self.running);
        let mut due: Vec<_> =
            self.accounts.iter().filter(|(_, watch)| !watch.running && watch.next <= now).collect();
        due.sort_by_key(|(_, watch)| watch.next);
        due.into_iter().take(free).map(|(name, _)| name.clone()).collect()
    }

    /// How long nothing is to be done.
    fn pause(&self) -> Duration {
        const IDLE: Duration = Duration::from_secs(60);
        if self.running >= AT_ONCE {
            return IDLE;
        }
        let next = self.accounts.values().filter(|watch| !watch.running).map(|watch| watch.next).min();
        next.map_or(IDLE, |next| next.saturating_duration_since(Instant::now()))
    }

    fn start(
        &mut self,
        name: &str,
        ledger: &Arc<SqliteLedger>,
        stop: &Arc<AtomicBool>,
        tell: &Sender<Event>,
        output: &Output,
    ) {
        let Some(watch) = self.accounts.get_mut(name) else { return };
        let (config, login) = (Arc::clone(&watch.config), watch.login.clone());
        let (ledger, stop, tell) = (Arc::clone(ledger), Arc::clone(stop), tell.clone());
        let (name, mut output) = (name.to_owned(), output.clone());
        let fetch = {
            let name = name.clone();
            move || {
                // Its destinations are opened anew: one that is away may have come back.
                let (exit, at_least) =
                    match Job::new(&name, Some(&config), &FetchArgs::default(), &mut output) {
                        Ok(job) => job.watched(stop).run(&ledger, &login, &FetchArgs::default(), output),
                        Err(problem) => {
                            not_begun(&name, Some(&config), &ledger, &problem, &mut output);
                            (problem.exit, None)
                        }
                    };
                // Nobody listens any more if it is all over.
                let _ = tell.send(Event::Fetched { name, exit, at_least });
            }
        };
        match thread::Builder::new().name(name).spawn(fetch) {
            Ok(_) => {
                watch.running = true;
                self.running += 1;
            }
            Err(_) => watch.next = Instant::now() + watch.interval,
        }
    }

    fn fetched(&mut self, name: &str, exit: Exit, at_least: Option<Duration>, output: &mut Output) {
        self.running = self.running.saturating_sub(1);
        let Some(watch) = self.accounts.get_mut(name) else { return };
        watch.running = false;
        // Some of the mail that failed is no reason to wait longer for the rest.
        watch.failures = if matches!(exit, Exit::Ok | Exit::Temporary) { 0 } else { watch.failures + 1 };
        let pause = with_jitter(pause(watch.interval, watch.failures, at_least));
        watch.next = Instant::now() + pause;
        if exit != Exit::Ok {
            output.note(Verbosity::Normal, &format!("{name}: next try in {}", text::duration(pause)));
        }
    }
}

/// Twice as long after each failure, and never shorter than the server wants.
fn pause(interval: Duration, failures: u32, at_least: Option<Duration>) -> Duration {
    let longer = interval.saturating_mul(2_u32.saturating_pow(failures.min(16)));
    let pause = if failures == 0 { interval } else { longer.min(LONGEST.max(interval)) };
    pause.max(at_least.unwrap_or_default())
}

/// A tenth earlier or later.
fn with_jitter(pause: Duration) -> Duration {
    let mut octet = [128];
    // Without chance it is exact.
    let _ = getrandom::fill(&mut octet);
    let [octet] = octet;
    pause.mul_f64(0.9 + f64::from(octet) / 1275.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_at_an_hour() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let pauses: Vec<_> = (0..6).map(|failures| pause(minutes(5), failures, None)).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 60, 60].map(minutes));
        assert_eq!(pause(minutes(5), 0, Some(minutes(15))), minutes(15));
        assert_eq!(pause(minutes(120), 3, None), minutes(120));
        assert_eq!(pause(minutes(1), u32::MAX, None), minutes(60));
    }

    #[test]
    fn chance_is_a_tenth_at_most() {
        for _ in 0..1000 {
            let pause = with_jitter(Duration::from_secs(100));
            assert!((Duration::from_secs(90)..=Duration::from_millis(110_001)).contains(&pause), "{pause:?}");
        }
    }
}
