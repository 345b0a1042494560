//! THE list of commands: the methods of the blocking and of the async client both come from it.
//!
//! Each line is a method: its name, its arguments, its answer, and the command that is sent. What streams (RETR, TOP),
//! what takes several steps (STLS, login) and what ends the session (QUIT) stands in the clients themselves.

/// Calls the given macro with the list.
macro_rules! commands {
    ($generate:ident) => {
        $generate! {
            /// USER: names the mailbox (RFC 1939 section 7). [`login`](Self::login) does it all.
            fn user(name: impl AsRef<[u8]>) -> Reply {
                command::UserCommand { name: name.as_ref().to_vec() }
            }

            /// PASS: the password, directly after a USER that was accepted (RFC 1939 section 7). The server's text
            /// often has the number and size of the messages. From here on the maildrop is locked until
            /// [`quit`](Self::quit), or until the connection ends.
            fn pass(password: impl Into<Secret>) -> Reply {
                command::PassCommand { password: password.into() }
            }

            /// RPOP: a login by name alone (RFC 1081), of historic interest.
            fn rpop(name: impl AsRef<[u8]>) -> Reply {
                command::RpopCommand { name: name.as_ref().to_vec() }
            }

            /// STAT: how many messages, and how many octets they have (RFC 1939 section 5).
            fn stat() -> Stat {
                command::StatCommand
            }

            /// LIST: the size of every message (RFC 1939 section 5).
            fn list() -> ScanListing {
                command::ListCommand
            }

            /// LIST n: the size of one message (RFC 1939 section 5).
            fn list_one(number: MessageNumber) -> OneScan {
                command::ListOneCommand { number }
            }

            /// UIDL: the unique-id of every message (RFC 1939 section 7). An optional command.
            fn uidl() -> UniqueIds {
                command::UidlCommand
            }

            /// UIDL n: the unique-id of one message (RFC 1939 section 7).
            fn uidl_one(number: MessageNumber) -> OneUniqueId {
                command::UidlOneCommand { number }
            }

            /// DELE: marks a message (RFC 1939 section 5). Whether it is deleted, [`quit`](Self::quit) tells.
            ///
            /// Few servers delete at DELE already, or at any disconnect: mark only what is safe elsewhere.
            fn dele(number: MessageNumber) -> Reply {
                command::DeleCommand { number }
            }

            /// RSET: takes all deletion marks back (RFC 1939 section 5).
            fn rset() -> Reply {
                command::RsetCommand
            }

            /// NOOP: nothing, except that it resets the server's timer (RFC 1939 section 5).
            fn noop() -> Reply {
                command::NoopCommand
            }

            /// LAST: the highest message number accessed (RFC 1225); dropped from the standard, and of little use.
            fn last() -> LastAccessed {
                command::LastCommand
            }

            /// UTF8: from the login on, messages may come with raw UTF-8 in their headers (RFC 6856 section 2).
            fn utf8() -> Reply {
                command::Utf8Command
            }

            /// LANG: the languages of the server's texts (RFC 6856 section 3).
            fn lang() -> Languages {
                command::LangListCommand
            }

            /// LANG tag: chooses the language of the server's texts; `*` leaves the choice to it (RFC 6856 section 3).
            fn lang_set(tag: impl AsRef<[u8]>) -> Reply {
                command::LangCommand { tag: tag.as_ref().to_vec() }
            }

            /// AUTH: begins a SASL exchange (RFC 5034 section 4). The initial response is base64, `=` if it is empty.
            /// A reply whose status is [`Status::Continue`](crate::Status::Continue) wants an
            /// [`auth_response`](Self::auth_response).
            fn auth(mechanism: impl AsRef<[u8]>, initial: Option<Secret>) -> Reply {
                command::AuthCommand { mechanism: mechanism.as_ref().to_vec(), initial }
            }

            /// The next line of a SASL exchange: base64, nothing, or `*` to cancel (RFC 5034 section 4).
            fn auth_response(response: impl Into<Secret>) -> Reply {
                command::AuthResponseCommand { response: response.into() }
            }

            /// AUTH alone: the mechanisms, at servers that list them so. CAPA is the better way.
            fn auth_list() -> Mechanisms {
                command::AuthListCommand
            }

            /// Any line of your own that one line answers. It is checked like any other: no CR, LF or NUL.
            fn raw(line: impl AsRef<[u8]>) -> Reply {
                command::RawCommand::single(line)
            }

            /// Any line of your own that many lines answer, if the answer is positive; they are in the reply's data.
            fn raw_multi(line: impl AsRef<[u8]>) -> Reply {
                command::RawCommand::multi(line)
            }
        }
    };
}

/// The accessors that need no server; the same in both clients.
macro_rules! accessors {
    () => {
        /// The greeting, as the server sent it.
        #[must_use]
        pub fn greeting(&self) -> &Reply {
            self.pump.core.greeting()
        }

        /// What the server said it can do, when it was last asked: after the greeting, after STLS, after the login.
        /// Empty if it has no CAPA. Nothing is sent.
        #[must_use]
        pub fn capabilities(&self) -> &Capabilities {
            &self.pump.core.capabilities
        }

        /// The facts of the TLS session; `None` without TLS of ours.
        #[must_use]
        pub fn tls(&self) -> Option<&TlsInfo> {
            self.pump.core.tls()
        }

        /// The way by which [`login`](Self::login) got in; `None` before that, and after a login step by step.
        #[must_use]
        pub fn logged_in_by(&self) -> Option<Method> {
            self.pump.core.logged_in_by
        }

        /// The session's state, as far as the replies tell.
        #[must_use]
        pub fn state(&self) -> State {
            self.pump.core.machine.state()
        }

        /// How many messages are marked deleted.
        #[must_use]
        pub fn marked(&self) -> u64 {
            self.pump.core.machine.marked()
        }

        /// Whether the session is over, because the connection or the protocol broke.
        #[must_use]
        pub fn is_broken(&self) -> bool {
            self.pump.core.machine.is_broken()
        }

        /// What was tolerated of this server so far.
        #[must_use]
        pub fn leniencies(&self) -> Leniencies {
            self.pump.core.machine.leniencies()
        }

        /// Traces more or less from now on; the hook is the one of [`Connector::trace`].
        pub fn set_trace_level(&mut self, level: TraceLevel) {
            self.pump.core.trace.level = level;
        }
    };
}

/// What a message's reader can tell without reading; the same in both doors.
macro_rules! message_accessors {
    () => {
        /// The reply to RETR or TOP. Some servers put the size into its text; it is a hint at best.
        #[must_use]
        pub fn reply(&self) -> &Reply {
            &self.reply
        }

        /// The message's number.
        #[must_use]
        pub fn number(&self) -> MessageNumber {
            self.number
        }

        /// How many octets of the message were read so far.
        #[must_use]
        pub fn octets(&self) -> u64 {
            self.octets
        }

        /// Whether the message was read to its end, and that end is a regular one.
        #[must_use]
        pub fn is_complete(&self) -> bool {
            matches!(self.end, Some(Ok(())))
        }
    };
}

pub(crate) use {accessors, commands, message_accessors};
