//! The blocking door: a [`Client`] that waits.

mod message;
mod pipeline;
mod probe;
mod pump;
mod stream;

use std::time::Duration;

use popwire_proto::command;
use popwire_proto::listing::{
    Capabilities, Languages, LastAccessed, Mechanisms, OneScan, OneUniqueId, ScanListing, Stat, UniqueIds,
};
use popwire_proto::{Command, Leniencies, MessageNumber, Reply, Secret, State};

pub use message::Message;
pub use pipeline::{Deletions, Messages, Pipeline};
pub use probe::probe;
use pump::Pump;
pub use stream::{Transport, connect_tcp};

use crate::commands::{accessors, commands};
use crate::conversation::{Opening, StartTls};
use crate::core::Core;
use crate::inventory::TakingStock;
use crate::login::{LoggingIn, apop_command};
use crate::{Connector, Farewell, Inventory, Login, Method, Result, TlsInfo, TraceLevel};

/// A POP3 session that blocks the thread while it waits.
///
/// Every wait has a deadline ([`Timeouts`](crate::Timeouts)). After a `-ERR` the session goes on; after a broken
/// connection or a protocol error it refuses to ([`Client::is_broken`]). Dropping the client without
/// [`quit`](Self::quit) closes the connection; no marked message is deleted then, at servers that keep to RFC 1939.
///
/// ```
/// use popwire::{Connector, Login, Security, blocking::Client};
/// # use popwire_server::{Maildrop, Server};
/// # let mail = b"Subject: hello\r\n\r\nHow are you?\r\n".to_vec();
/// # let server = Server::builder().user("alice", "s3cret", Maildrop::memory([mail])).start().unwrap();
/// # let (host, port) = ("localhost", server.tls_addr().port());
/// # let tls = popwire::Tls::new().with_root_certificates(server.ca_pem().as_bytes())?;
///
/// let connector = Connector::new(host).port(port).tls(tls);
/// let mut client = Client::connect(&connector)?;
/// client.login(&Login::password("alice", "s3cret"))?;
/// for scan in client.list()?.iter() {
///     let mail = client.retr(scan.number)?.read_to_vec()?;
///     println!("{}: {} octets", scan.number, mail.len());
///     client.dele(scan.number)?;
/// }
/// assert!(client.quit().is_committed());
/// # Ok::<(), popwire::Error>(())
/// ```
#[derive(Debug)]
pub struct Client {
    pump: Pump,
}

impl Client {
    /// Connects, with TLS as the connector says, and waits for the greeting.
    ///
    /// # Errors
    ///
    /// [`is_io`](crate::Error::is_io), [`is_timeout`](crate::Error::is_timeout),
    /// [`is_tls`](crate::Error::is_tls), [`is_protocol`](crate::Error::is_protocol); or the server's refusal to serve.
    pub fn connect(connector: &Connector) -> Result<Self> {
        Self::start(Pump::connect(connector)?, connector)
    }

    /// Opens a session over a stream of the caller's: a tunnel, a Unix socket, a TLS session of his own. TLS is done
    /// over it as the connector says; its host is the name that the certificate must have.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub fn over(stream: impl Transport + 'static, connector: &Connector) -> Result<Self> {
        Self::start(Pump::over(Box::new(stream), connector)?, connector)
    }

    fn start(mut pump: Pump, connector: &Connector) -> Result<Self> {
        pump.converse(Opening::new(connector.security))?;
        Ok(Self { pump })
    }

    /// Connects and logs in. If a server closes the connection over a way to log in that it does not take, this goes on
    /// over a new connection with the next way; [`login`](Self::login) cannot.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect) and [`login`](Self::login).
    pub fn connect_and_login(connector: &Connector, login: &Login) -> Result<Self> {
        let mut login = login.clone().ask(connector.host())?;
        loop {
            let mut client = Self::connect(connector)?;
            match client.login(&login) {
                Ok(_) => return Ok(client),
                Err(error) => login = login.after(&error).ok_or(error)?,
            }
        }
    }

    /// Logs in by the strongest way that the server offers and the login allows, and asks for the capabilities again.
    ///
    /// # Errors
    ///
    /// [`is_authentication`](crate::Error::is_authentication), [`is_in_use`](crate::Error::is_in_use) and the other
    /// predicates tell a wrong password from a server that is busy; [`attempts`](crate::Error::attempts) tells what was
    /// tried. [`is_policy`](crate::Error::is_policy): nothing was sent, since the connection has no verified TLS, or the
    /// server offers no way that is allowed. [`is_server_untrusted`](crate::Error::is_server_untrusted): the server does
    /// not know the password itself.
    pub fn login(&mut self, login: &Login) -> Result<Reply> {
        self.pump.converse(LoggingIn::new(login))
    }

    /// APOP alone, computed from the greeting's timestamp (RFC 1939 section 7).
    ///
    /// # Errors
    ///
    /// [`is_misuse`](crate::Error::is_misuse) if the greeting has no valid timestamp; nothing is sent then.
    pub fn apop(&mut self, user: impl AsRef<[u8]>, secret: impl Into<Secret>) -> Result<Reply> {
        let command = apop_command(&self.pump.core, user.as_ref().to_vec(), &secret.into())?;
        self.pump.call(&command)
    }

    /// STLS, the TLS handshake, and CAPA again (RFC 2595 section 4). A connector with
    /// [`Security::Stls`](crate::Security::Stls) does it by itself.
    ///
    /// # Errors
    ///
    /// [`is_tls`](crate::Error::is_tls). After a failed handshake the session is over.
    pub fn stls(&mut self) -> Result<Reply> {
        self.pump.converse(StartTls::default())
    }

    /// CAPA (RFC 2449 section 5): asks again, and keeps the answer for [`capabilities`](Self::capabilities).
    ///
    /// # Errors
    ///
    /// [`is_refused`](crate::Error::is_refused) at servers without CAPA.
    pub fn capa(&mut self) -> Result<&Capabilities> {
        let reply = self.pump.exchange(&command::CapaCommand)?;
        self.pump.core.judge(popwire_proto::Verb::Capa, &reply)?;
        self.pump.core.learn_capabilities(reply)?;
        Ok(self.capabilities())
    }

    /// RETR: the whole message, as a reader (RFC 1939 section 5). Most servers mark it as seen.
    ///
    /// # Errors
    ///
    /// [`is_refused`](crate::Error::is_refused) if there is no such message.
    pub fn retr(&mut self, number: MessageNumber) -> Result<Message<'_>> {
        self.message(&command::RetrCommand { number }, number)
    }

    /// TOP: the header, the blank line and so many lines of the body, as a reader (RFC 1939 section 7).
    ///
    /// TOP is optional, and servers get it wrong in many ways: some ignore the number of lines, some cut what is long, some
    /// send other headers than with RETR or a second `+OK` before them, some mark the message as seen. So it is for a
    /// look at a message, and never the message: that is what RETR gives. Where TOP is missing, RETR and reading only as
    /// far as one wants is the way out; what is left of the message is skipped.
    ///
    /// More than 99,999,999 lines are asked for as that many: a server is known that refuses larger numbers.
    ///
    /// # Errors
    ///
    /// [`is_refused`](crate::Error::is_refused) if there is no such message or no TOP;
    /// [`is_unsupported`](crate::Error::is_unsupported) if the server says that it is the latter.
    pub fn top(&mut self, number: MessageNumber, lines: u32) -> Result<Message<'_>> {
        self.message(&command::TopCommand { number, lines }, number)
    }

    /// RETR for many messages, asked for ahead: a reader for each, in this order, and what a server refuses costs nothing
    /// but itself (RFC 2449 section 6.6).
    ///
    /// The commands run ahead of the messages within a [`Window`](crate::Window), where the server announces PIPELINING or
    /// the connector insists ([`Pipelining`](crate::Pipelining)). Before the first pipeline of a session one round trip
    /// shows whether it can; with a server that loses or mixes up commands all go one by one. Messages stream, and none is
    /// collected: what is not read waits in the connection.
    ///
    /// ```no_run
    /// # fn fetch(client: &mut popwire::blocking::Client) -> popwire::Result<()> {
    /// let mut messages = client.retrieve_many(1..=1000);
    /// while let Some((number, message)) = messages.next() {
    ///     match message {
    ///         Ok(mut message) => println!("{number}: {} octets", message.read_to_vec()?.len()),
    ///         Err(error) if error.is_refused() => println!("{number}: {error}"),
    ///         Err(error) => return Err(error),
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn retrieve_many<I>(&mut self, numbers: I) -> Messages<'_, I::IntoIter>
    where
        I: IntoIterator<Item = MessageNumber>,
    {
        Messages::new(&mut self.pump, numbers.into_iter(), None)
    }

    /// TOP for many messages, as [`retrieve_many`](Self::retrieve_many); what [`top`](Self::top) says of TOP holds here.
    pub fn top_many<I>(&mut self, numbers: I, lines: u32) -> Messages<'_, I::IntoIter>
    where
        I: IntoIterator<Item = MessageNumber>,
    {
        Messages::new(&mut self.pump, numbers.into_iter(), Some(lines))
    }

    /// DELE for many messages, ahead of the answers as in [`retrieve_many`](Self::retrieve_many): an answer for each.
    pub fn delete_many<I>(&mut self, numbers: I) -> Deletions<'_, I::IntoIter>
    where
        I: IntoIterator<Item = MessageNumber>,
    {
        Deletions::new(&mut self.pump, numbers.into_iter())
    }

    /// Commands of any kind, ahead of the answers as in [`retrieve_many`](Self::retrieve_many): an answer for each. Lines of
    /// a login, STLS and QUIT wait for what is under way, and nothing goes out behind them. A message that follows an
    /// answer is skipped.
    pub fn pipeline<I>(&mut self, commands: I) -> Pipeline<'_, I::IntoIter>
    where
        I: IntoIterator<Item: Command>,
    {
        Pipeline::new(&mut self.pump, commands.into_iter())
    }

    /// STAT, LIST and UIDL: in one write, where the server takes several commands at once.
    ///
    /// # Errors
    ///
    /// Those of the session; a refusal stands with its own command.
    pub fn inventory(&mut self) -> Result<Inventory> {
        self.pump.converse(TakingStock::new(false))
    }

    /// [`login`](Self::login) and [`inventory`](Self::inventory), with the CAPA after the login and the listings in one
    /// write where the server takes that: a poll that finds nothing new is over one round trip after the login.
    ///
    /// # Errors
    ///
    /// As [`login`](Self::login).
    pub fn login_with_inventory(&mut self, login: &Login) -> Result<Inventory> {
        self.pump.converse(LoggingIn::new(login).without_capa())?;
        let capa = self.pump.core.asks_capa();
        self.pump.converse(TakingStock::new(capa))
    }

    /// NOOP, if nothing came from the server for so long; returns whether it was sent. For long work between commands:
    /// servers drop clients that are silent for 10 minutes, some after one.
    ///
    /// # Errors
    ///
    /// As NOOP.
    pub fn keep_alive(&mut self, silence: Duration) -> Result<bool> {
        let due = self.pump.now().saturating_sub(self.pump.core.watch.last_octet()) >= silence;
        if due {
            self.noop()?;
        }
        Ok(due)
    }

    /// QUIT: the server deletes what is marked, and says whether it did (RFC 1939 section 6). The connection is closed
    /// in any case.
    pub fn quit(mut self) -> Farewell {
        let marked = self.marked();
        let heard = self.pump.exchange(&command::QuitCommand);
        self.pump.close();
        Core::farewell(marked, heard)
    }

    /// QUIT without a wait for the answer, if no message is marked deleted: nothing depends on it then, and a poller saves
    /// a round trip. With deletions it is [`quit`](Self::quit).
    pub fn leave(mut self) -> Farewell {
        let marked = self.marked();
        if marked > 0 {
            return self.quit();
        }
        let said = self.pump.say_unheard(&command::QuitCommand);
        self.pump.close();
        match said {
            Ok(()) => Farewell::Committed { marked, reply: None },
            Err(error) => Core::farewell(marked, Err(error)),
        }
    }

    accessors!();

    fn message<C: popwire_proto::Command<Answer = Reply>>(
        &mut self,
        command: &C,
        number: MessageNumber,
    ) -> Result<Message<'_>> {
        let reply = self.pump.call(command)?;
        Ok(Message::new(&mut self.pump, number, reply))
    }
}

macro_rules! blocking_methods {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $ty:ty),*) -> $answer:ty { $command:expr })*) => {
        /// The commands, one by one.
        ///
        /// Each fails with [`is_refused`](crate::Error::is_refused) where the server says `-ERR`, with
        /// [`is_misuse`](crate::Error::is_misuse) where an argument or the moment is wrong, and with the errors of a
        /// broken connection.
        impl Client {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                ///
                /// [`is_refused`](crate::Error::is_refused) if the server says `-ERR`.
                pub fn $name(&mut self, $($argument: $ty),*) -> Result<$answer> {
                    self.pump.call(&$command)
                }
            )*
        }
    };
}

commands!(blocking_methods);
