//! A destination of the configuration: which kind it is, and whether its keys go together.

use std::ffi::OsString;

use popwire_retriever::{Mailbox, Sender, SmtpSecurity};

use super::resolve::{home, source};
use super::{Deliver, Mode, OneOrMany};
use crate::args::FlushArg;
use crate::destinations::{MailServer, Place};

const KINDS: &str = "a destination has one of maildir, mbox, pipe, lmtp, smtp";

impl Deliver {
    /// Where it is; what is wrong with it, in words. `account` is whose it is.
    pub(super) fn place(&self, account: &str) -> Result<Place, String> {
        let limit = self.timeout.map(|span| span.0);
        Ok(match (&self.maildir, &self.mbox, &self.pipe, &self.lmtp, &self.smtp) {
            (Some(path), None, None, None, None) => {
                self.takes("maildir", &[])?;
                Place::Maildir(home(path), FlushArg::default())
            }
            (None, Some(path), None, None, None) => {
                self.takes("mbox", &[])?;
                Place::Mbox(home(path))
            }
            (None, None, Some(pipe), None, None) => {
                self.takes("pipe", &["timeout"])?;
                match pipe {
                    OneOrMany::One(command) => Place::Shell(command.into(), limit),
                    OneOrMany::Many(words) if words.is_empty() => {
                        return Err("pipe names no program".to_owned());
                    }
                    OneOrMany::Many(words) => {
                        Place::Program(words.iter().map(OsString::from).collect(), limit)
                    }
                }
            }
            (None, None, None, Some(place), None) => {
                self.takes("lmtp", &["recipient", "sender", "timeout"])?;
                Place::Lmtp(self.server("lmtp", place)?)
            }
            (None, None, None, None, Some(place)) => {
                self.takes("smtp", &["recipient", "sender", "timeout", "tls", "ca", "user", "password"])?;
                self.smtp(self.server("smtp", place)?, account)?
            }
            _ => return Err(KINDS.to_owned()),
        })
    }

    /// That there are no other keys.
    fn takes(&self, kind: &str, keys: &[&str]) -> Result<(), String> {
        let there = [
            ("recipient", self.recipient.is_some()),
            ("sender", self.sender.is_some()),
            ("timeout", self.timeout.is_some()),
            ("tls", self.tls.is_some()),
            ("ca", self.ca.is_some()),
            ("user", self.user.is_some()),
            ("password", self.password.is_some()),
        ];
        match there.iter().find(|(key, there)| *there && !keys.contains(key)) {
            Some((key, _)) => Err(format!("{kind} takes no {key}")),
            None => Ok(()),
        }
    }

    fn server(&self, kind: &str, place: &str) -> Result<MailServer, String> {
        let mailbox = |address: &str| Mailbox::new(address).map_err(|error| error.to_string());
        let recipient = self.recipient.as_ref().ok_or_else(|| format!("{kind} wants a recipient"))?;
        let sender = match self.sender.as_deref() {
            None => Sender::default(),
            Some("" | "<>") => Sender::Nobody,
            Some(sender) => Sender::Always(mailbox(sender)?),
        };
        let patience = self.timeout.map(|span| span.0);
        Ok(MailServer { place: place.to_owned(), recipient: mailbox(recipient)?, sender, patience })
    }

    fn smtp(&self, server: MailServer, account: &str) -> Result<Place, String> {
        let security = match self.tls {
            None => server.usual_security(),
            Some(Mode::Implicit) => SmtpSecurity::Tls,
            Some(Mode::Starttls) => SmtpSecurity::StartTls,
            Some(Mode::NoneInsecure) => SmtpSecurity::Plain,
        };
        let login = match (&self.user, &self.password) {
            (None, None) => None,
            (Some(user), Some(secret)) => Some((user.clone(), source(secret, &format!("{account}/smtp"))?)),
            _ => return Err("a login wants both user and password".to_owned()),
        };
        if login.is_some() && security == SmtpSecurity::Plain {
            return Err("the password is not sent without TLS: tls = \"implicit\" or \"starttls\"".to_owned());
        }
        if self.ca.is_some() && security == SmtpSecurity::Plain {
            return Err("ca is for TLS: tls = \"implicit\" or \"starttls\"".to_owned());
        }
        Ok(Place::Smtp { server, security, ca: self.ca.as_deref().map(home), login })
    }
}
