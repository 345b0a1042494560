//! What is asked of a server, in which order, and what follows from the answers.
//!
//! Logins are dear: servers count them, and some refuse the second of a minute. So all of it fits into one, and another is
//! made only where a session broke. Unknown commands are dear too: no connection sees more than two.

use std::collections::VecDeque;
use std::time::Duration;

use popwire_proto::{Error as Proto, Verb};

use super::ProbeOptions;
use super::evidence::{Answer, Event, Evidence, Seen};
use super::report::Report;
use super::steps::{Item, LINES, Question, Step};
use crate::core::Core;
use crate::{Connector, Error, Login, Result, Security};

/// After how many broken sessions the rest is left out.
const REJOINS: u32 = 4;
/// How many messages are looked into.
const SAMPLES: usize = 3;
/// More of a message's beginning is not read.
const MOST: u64 = 512 * 1024;
/// More of a message is not read.
const MOST_WHOLE: u64 = 64 * 1024 * 1024;
/// How many unknown commands a connection sees at most.
const UNKNOWN: u32 = 2;
/// How many NOOPs go out in one write.
const TOGETHER: usize = 3;

/// A probe under way.
#[derive(Debug)]
pub(crate) struct Examination {
    connector: Connector,
    login: Login,
    options: ProbeOptions,
    agenda: VecDeque<Item>,
    current: Option<Item>,
    previous: Option<Item>,
    spent: Duration,
    rejoins: u32,
    /// Commands of this connection that the server may not know.
    unknown: u32,
    /// Whether a login got in.
    entered: bool,
    /// Whether CAPA can be sent.
    capa: bool,
    evidence: Evidence,
    /// Which event ended it before its time.
    stopped_at: Option<usize>,
}

impl Examination {
    pub(crate) fn new(connector: &Connector, login: Login, options: ProbeOptions) -> Self {
        let mut agenda = VecDeque::from([Item::Greeting]);
        if connector.capa {
            agenda.push_back(Item::CapaFirst);
        }
        if connector.security == Security::Stls {
            agenda.extend([Item::Stls, Item::CapaWithTls]);
        }
        agenda.push_back(Item::Login);
        let evidence =
            Evidence { limits: connector.limits.clone(), slow: options.slow, ..Evidence::default() };
        Self {
            connector: connector.clone(),
            login,
            options,
            agenda,
            current: None,
            previous: None,
            spent: Duration::ZERO,
            rejoins: 0,
            unknown: 0,
            entered: false,
            capa: connector.capa,
            evidence,
            stopped_at: None,
        }
    }

    /// What to do next; `None` at the end. What comes of it is for [`hear`](Self::hear).
    pub(crate) fn next(&mut self) -> Option<Step> {
        if self.spent >= self.options.time {
            self.stop();
            return None;
        }
        let item = loop {
            match self.agenda.pop_front()? {
                Item::Last | Item::AuthList if self.unknown >= UNKNOWN => {}
                item => break item,
            }
        };
        self.options.tell(item.words());
        self.current = Some(item);
        let ask = |question| Some(Step::Ask(question));
        let top = |number, lines| Some(Step::Read { number, lines: Some(lines), most: MOST });
        match item {
            Item::Greeting | Item::Aside => Some(Step::Connect(Box::new(self.first_connector()))),
            Item::Rejoin => Some(Step::Connect(Box::new(self.next_connector()))),
            Item::CapaFirst | Item::CapaWithTls | Item::CapaWithin | Item::CapaAside => Some(Step::Capa),
            Item::Stls => Some(Step::Stls),
            Item::Smuggle => Some(Step::Smuggle),
            Item::AuthList => ask(Question::multi(Verb::Auth)),
            Item::Login => Some(Step::Login(Box::new(self.login.clone()))),
            Item::Stat => ask(Question::single(Verb::Stat)),
            Item::List => ask(Question::multi(Verb::List)),
            Item::Uidl | Item::UidlAgain => ask(Question::multi(Verb::Uidl)),
            Item::UidlOne(number) => ask(Question::about(Verb::Uidl, number)),
            Item::Still | Item::Noop => ask(Question::single(Verb::Noop)),
            Item::Header(number) => top(number, 0),
            Item::Beginning(number) => top(number, LINES),
            Item::Whole(number) => Some(Step::Read { number, lines: None, most: MOST_WHOLE }),
            Item::Rset => ask(Question::single(Verb::Rset)),
            Item::Last => ask(Question::single(Verb::Last)),
            Item::Together => {
                Some(Step::Together(vec![Question::single(Verb::Noop); TOGETHER], self.options.patience))
            }
            Item::Quit => Some(Step::Quit),
            Item::Leave => Some(Step::Leave),
        }
    }

    /// Takes note of what came of the last step, and of the session as it is then, if there is one.
    pub(crate) fn hear(&mut self, outcome: Result<Answer>, time: Duration, session: Option<&Core>) {
        let Some(item) = self.current.take() else { return };
        self.spent = self.spent.saturating_add(time);
        if let Some(core) = session {
            self.look_at(core);
        }
        let asked_for = self.previous.replace(item);
        if let (Some(Proto::Unsolicited(text)), Some(before)) =
            (outcome.as_ref().err().and_then(Error::protocol), asked_for)
            && !matches!(item, Item::Still | Item::CapaAside)
            && self.rejoins < REJOINS
        {
            // It came before this was sent, which has to be asked again.
            self.evidence.unasked.push((before, text.clone()));
            self.agenda.push_front(item);
            return self.rejoin();
        }
        let ended = matches!(item, Item::Quit | Item::Leave);
        // After a deadline the answer may come yet; whoever asks on would wait for it again.
        let late = outcome.as_ref().err().is_some_and(Error::is_timeout);
        let lost = !ended && (late || session.is_none_or(|core| core.machine.is_broken()));
        self.evidence.events.push(Event { item, outcome, time, lost });
        self.follow(item);
        if lost && !self.agenda.is_empty() {
            self.rejoin();
        }
    }

    /// The report; an error where there is nothing to report.
    pub(crate) fn report(self) -> Result<Report> {
        let Self { mut evidence, stopped_at, connector, .. } = self;
        let report = Report::of(&Seen::read(&evidence), connector.security);
        let error = stopped_at.and_then(|at| evidence.events.swap_remove(at).outcome.err());
        match error {
            Some(error) if report.greeting.is_none() && report.findings.is_empty() => Err(error),
            error => Ok(Report { error, ..report }),
        }
    }

    fn look_at(&mut self, core: &Core) {
        let evidence = &mut self.evidence;
        evidence.greeting.get_or_insert_with(|| core.greeting().clone());
        if let Some(tls) = core.tls() {
            evidence.tls.get_or_insert_with(|| tls.clone());
        }
        let (now, most) = (core.machine.leniencies(), &mut evidence.leniencies);
        most.bare_lf_lines = most.bare_lf_lines.max(now.bare_lf_lines);
        most.bare_lf_bodies = most.bare_lf_bodies.max(now.bare_lf_bodies);
        most.irregular_ends = most.irregular_ends.max(now.irregular_ends);
    }

    /// What follows from what was heard last.
    fn follow(&mut self, item: Item) {
        let Some(event) = self.evidence.events.last() else { return };
        let refused = event.refused();
        let failed = event.outcome.is_err() && !refused;
        match item {
            Item::Greeting | Item::Rejoin | Item::Stls if refused || failed => self.stop(),
            Item::Greeting | Item::Rejoin => self.unknown = 0,
            Item::CapaFirst if refused || failed => {
                self.unknown += 1;
                self.capa = false;
                self.agenda.retain(|item| *item != Item::CapaWithTls);
                if refused {
                    let at = self.agenda.iter().position(|item| *item == Item::Login).unwrap_or(0);
                    self.agenda.insert(at, Item::AuthList);
                }
            }
            Item::CapaFirst if self.connector.security == Security::OpportunisticStls => {
                let offered = Seen::read(&self.evidence).announced("STLS");
                if offered {
                    self.agenda.push_front(Item::CapaWithTls);
                    self.agenda.push_front(Item::Stls);
                }
            }
            Item::Aside | Item::Smuggle if failed => {
                self.agenda.retain(|item| !matches!(item, Item::Smuggle | Item::CapaAside));
            }
            Item::AuthList | Item::Last if refused => self.unknown += 1,
            Item::Login => self.follow_login(refused || failed),
            Item::Uidl if refused => self.agenda.push_front(Item::UidlAgain),
            Item::Uidl | Item::UidlAgain => self.look_closer(),
            _ => {}
        }
    }

    fn follow_login(&mut self, failed: bool) {
        if failed {
            let Some(Event { outcome: Err(error), lost, .. }) = self.evidence.events.last() else { return };
            let lost = *lost;
            match self.login.after(error) {
                Some(next) if self.rejoins < REJOINS => {
                    self.login = next;
                    self.agenda.push_front(Item::Login);
                }
                _ if lost => self.stop(),
                // Whether it closes after a refusal is worth knowing.
                _ => {
                    self.stop();
                    self.agenda.push_back(Item::Quit);
                }
            }
        } else if !self.entered {
            self.entered = true;
            if self.capa {
                self.agenda.push_back(Item::CapaWithin);
            }
            self.agenda.extend([Item::Stat, Item::List, Item::Uidl]);
        }
    }

    /// The lists are there: what is asked of single messages, and the rest.
    fn look_closer(&mut self) {
        let seen = Seen::read(&self.evidence);
        let mut listed: Vec<_> = seen.list.iter().flat_map(|list| list.iter()).collect();
        // Numbers beyond those that STAT tells of are mistakes.
        if let Some(stat) = &seen.stat {
            listed.retain(|scan| u64::from(scan.number) <= stat.messages);
        }
        let first = listed.first().map(|scan| scan.number);
        listed.sort_by_key(|scan| scan.octets.unwrap_or(u64::MAX));
        let mut samples: Vec<_> = listed.iter().map(|scan| scan.number).take(SAMPLES).collect();
        // Some servers keep something of their own in the first message.
        if let Some(first) = first.filter(|first| !samples.contains(first)) {
            samples.truncate(SAMPLES - 1);
            samples.push(first);
        }
        if let Some(first) =
            first.filter(|first| seen.uidl.as_ref().is_some_and(|ids| ids.get(*first).is_some()))
        {
            self.agenda.extend([Item::UidlOne(first), Item::Still]);
        }
        self.agenda.extend(samples.first().map(|smallest| Item::Header(*smallest)));
        self.agenda.extend(samples.iter().map(|number| Item::Beginning(*number)));
        self.agenda.extend([Item::Rset, Item::Last]);
        self.agenda.extend([Item::Noop; 5]);
        self.agenda.extend([Item::Together, Item::Quit]);
        if self.capa && seen.capa_with_tls.is_some() {
            self.agenda.extend([Item::Aside, Item::Smuggle, Item::CapaAside, Item::Leave]);
        }
        if let (true, Some(smallest)) = (self.options.retr, samples.first()) {
            self.agenda.extend([Item::Rejoin, Item::Login, Item::Whole(*smallest), Item::Leave]);
        }
    }

    /// Nothing more can be had; if nobody got in, that is the error.
    fn stop(&mut self) {
        self.agenda.clear();
        if !self.entered {
            self.stopped_at = self.evidence.events.len().checked_sub(1);
        }
    }

    /// The session is over and there is more to do.
    fn rejoin(&mut self) {
        match self.agenda.front() {
            Some(Item::Rejoin | Item::Aside | Item::Leave) | None => return,
            _ if self.rejoins >= REJOINS => return self.agenda.clear(),
            _ => {}
        }
        self.rejoins += 1;
        self.agenda.retain(|item| !matches!(item, Item::Stls | Item::CapaWithTls));
        if self.entered && self.agenda.front() != Some(&Item::Login) {
            self.agenda.push_front(Item::Login);
        }
        self.agenda.push_front(Item::Rejoin);
    }

    /// STLS is a step of its own, so that what CAPA says before it is heard; so is CAPA.
    fn first_connector(&mut self) -> Connector {
        let connector = self.next_connector().without_capa();
        match connector.security {
            Security::Stls | Security::OpportunisticStls => connector.security(Security::Plain),
            _ => connector,
        }
    }

    fn next_connector(&mut self) -> Connector {
        self.evidence.connections += 1;
        let mut connector = self.connector.clone();
        let left = self.options.time.saturating_sub(self.spent);
        let timeouts = &mut connector.timeouts;
        timeouts.whole = Some(timeouts.whole.map_or(left, |whole| whole.min(left)));
        if self.capa { connector } else { connector.without_capa() }
    }
}
