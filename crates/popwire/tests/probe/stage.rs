use std::time::Duration;

use popwire::probe::{ProbeOptions, Report};
use popwire::{Connector, Timeouts};
use popwire_server::{Builder, Maildrop, Server};

use crate::setting::{PASSWORD, ms};

/// Eight messages. The third is the smallest and has a line with nothing but a dot; the eighth is the only one beyond 1024
/// octets; no two have the same number of lines.
pub(crate) fn messages() -> Vec<String> {
    let lines = |number: usize| match number {
        3 => ".\r\nthe dot was mail\r\n".to_owned(),
        8 => body(8, 60),
        number => body(number, number + 4),
    };
    (1..=8).map(|number| format!("Subject: {number}\r\n\r\n{}", lines(number))).collect()
}

fn body(number: usize, lines: usize) -> String {
    (1..=lines).map(|line| format!("line {line} of message {number}, made of words\r\n")).collect()
}

/// Alice with [`messages`].
pub(crate) fn alice() -> Builder {
    Server::builder().user("alice", PASSWORD, Maildrop::memory(messages()))
}

pub(crate) fn options() -> ProbeOptions {
    ProbeOptions::new().patience(ms(300)).time(Duration::from_secs(20))
}

/// With deadlines for servers that are silent on purpose.
pub(crate) fn hasty(connector: Connector) -> Connector {
    let mut timeouts = Timeouts::default();
    (timeouts.capa, timeouts.quit, timeouts.tls) = (ms(300), ms(300), ms(500));
    (timeouts.greeting, timeouts.command, timeouts.rescue) = (ms(2000), ms(1500), Some(ms(50)));
    connector.timeouts(timeouts)
}

pub(crate) fn ids(report: &Report) -> Vec<&'static str> {
    report.findings.iter().map(|finding| finding.deviation).collect()
}
