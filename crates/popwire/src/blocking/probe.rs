//! The probe by the blocking door: carries out the steps of an examination.

use std::io::Read as _;
use std::time::Instant;

use popwire_proto::MessageNumber;
use popwire_proto::command::{CapaCommand, QuitCommand};

use super::Client;
use crate::probe::{Answer, Examination, ProbeOptions, Report, Sample, Step};
use crate::{Connector, Error, Login, Result};

/// Finds out what a server does, and what it does otherwise than the RFCs say: see [`probe`](crate::probe).
///
/// # Errors
///
/// If nothing was heard of the server: it cannot be reached, TLS fails, or there is no password. A server that talks and
/// lets nobody in gives a report with an error in it.
pub fn probe(connector: &Connector, login: &Login, options: ProbeOptions) -> Result<Report> {
    let login = login.clone().ask(connector.host())?;
    let mut examination = Examination::new(connector, login, options);
    let mut client = None;
    while let Some(step) = examination.next() {
        let begun = Instant::now();
        let outcome = perform(&mut client, step);
        examination.hear(outcome, begun.elapsed(), client.as_ref().map(|client| &client.pump.core));
    }
    examination.report()
}

fn perform(connection: &mut Option<Client>, step: Step) -> Result<Answer> {
    if let Step::Connect(connector) = step {
        // The one before is closed first: some servers allow one at a time.
        *connection = None;
        *connection = Some(Client::connect(&connector)?);
        return Ok(Answer::Connected);
    }
    let Some(client) = connection else { return Err(Error::configuration("there is no connection")) };
    Ok(match step {
        Step::Connect(_) => Answer::Connected,
        Step::Stls => {
            client.stls()?;
            Answer::Encrypted
        }
        Step::Smuggle => match client.pump.handshake_over(b"NOOP\r\n")? {
            true => Answer::Encrypted,
            false => Answer::Left,
        },
        Step::Capa => {
            let reply = client.pump.exchange(&CapaCommand)?;
            client.pump.core.learn_capabilities(reply.clone())?;
            Answer::Reply(reply)
        }
        Step::Login(login) => {
            client.pump.core.capa = false;
            client.login(&login)?;
            Answer::LoggedIn(client.logged_in_by())
        }
        Step::Ask(question) => Answer::Reply(client.pump.exchange(&question)?),
        Step::Together(questions, patience) => {
            client.pump.core.watch.timeouts().command = patience;
            Answer::Replies(client.pump.exchange_all(&questions)?)
        }
        Step::Read { number, lines, most } => Answer::Message(read(client, number, lines, most)?),
        Step::Quit => {
            let reply = client.pump.exchange(&QuitCommand);
            client.pump.close();
            *connection = None;
            Answer::Reply(reply?)
        }
        Step::Leave => {
            *connection = None;
            Answer::Left
        }
    })
}

fn read(client: &mut Client, number: MessageNumber, lines: Option<u32>, most: u64) -> Result<Sample> {
    let mut message = match lines {
        Some(lines) => client.top(number, lines)?,
        None => client.retr(number)?,
    };
    let mut sample = Sample::new(message.reply().clone());
    let mut buffer = vec![0; 16 * 1024];
    while sample.total < most {
        match message.read(&mut buffer) {
            Ok(0) => return Ok(sample),
            Ok(octets) => sample.add(buffer.get(..octets).unwrap_or_default()),
            Err(error) => return sample.ended(Error::io("reading a message", error)),
        }
    }
    Ok(sample.cut())
}
