// What a refused login means: P-081, P-082, P-084, P-086, P-095, P-096, P-098, Q-025, Q-026, Q-029,
// Q-041 to Q-046.

use popwire::{Error, ResponseCode};

use crate::setting::{alice, login, tls};

/// What the predicates say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Says {
    authentication: bool,
    in_use: bool,
    login_delay: bool,
    temporary: bool,
    permanent: bool,
    retryable: bool,
}

impl From<&Error> for Says {
    fn from(error: &Error) -> Self {
        Self {
            authentication: error.is_authentication(),
            in_use: error.is_in_use(),
            login_delay: error.is_login_delay(),
            temporary: error.is_temporary(),
            permanent: error.is_permanent(),
            retryable: error.is_retryable(),
        }
    }
}

const NOTHING: Says = Says {
    authentication: false,
    in_use: false,
    login_delay: false,
    temporary: false,
    permanent: false,
    retryable: false,
};
const CREDENTIALS: Says = Says { authentication: true, ..NOTHING };
const PATIENCE: Says = Says { temporary: true, retryable: true, ..NOTHING };
const BUSY: Says = Says { in_use: true, ..PATIENCE };
const TOO_SOON: Says = Says { login_delay: true, ..PATIENCE };
const A_PERSON: Says = Says { permanent: true, ..NOTHING };

/// The capabilities that change how codes are read.
const NO_CODES: &[&str] = &["USER"];
const CODES: &[&str] = &["USER", "RESP-CODES"];
const AUTH_CODES: &[&str] = &["USER", "RESP-CODES", "AUTH-RESP-CODE"];

helper! {
    /// The error of a login at a server with these capabilities that answers PASS so.
    fn refused(capabilities: &[&str], answer: &str) -> Error {
        let server = alice()
            .capability_lines(capabilities, capabilities)
            .script("PASS", format!("{answer}\r\n"))
            .start()
            .unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        let error = go!(client.login(&login())).unwrap_err();
        assert!(error.is_refused() && !client.is_broken(), "{error:?}");
        // The server's words are always there to be shown.
        assert_eq!(error.reply().unwrap().line().as_bytes(), answer.as_bytes());
        assert!(error.to_string().contains(answer.trim()), "{error}");
        error
    }

    fn all_say(says: Says, capabilities: &[&[&str]], answers: &[&str]) {
        for capabilities in capabilities {
            for answer in answers {
                let error = go!(refused(capabilities, answer));
                assert_eq!(Says::from(&error), says, "{answer} with {capabilities:?}");
            }
        }
    }
}

case! {
    fn p_084_in_use_is_no_wrong_password() {
        go!(all_say(
            BUSY,
            &[NO_CODES, CODES, AUTH_CODES],
            &[
                "-ERR [IN-USE] Unable to lock maildrop: Mailbox is locked by POP server",
                "-ERR [in-use]",
                "-ERR [IN-USE/x] wrong password",
            ]
        ));
    }

    fn p_085_q_044_login_delay() {
        go!(all_say(
            TOO_SOON,
            &[NO_CODES, CODES, AUTH_CODES],
            &["-ERR [LOGIN-DELAY] Logins must be at least 15 minutes apart", "-ERR [Login-Delay]"]
        ));
    }

    fn p_095_q_045_troubles_of_the_system() {
        go!(all_say(
            PATIENCE,
            &[NO_CODES, CODES, AUTH_CODES],
            &["-ERR [SYS/TEMP] Unable to open maildrop", "-ERR [SYS/TEMP/DISK] wrong name or password"]
        ));
        go!(all_say(
            A_PERSON,
            &[NO_CODES, CODES, AUTH_CODES],
            &[
                "-ERR [SYS/PERM] Unable to open maildrop",
                "-ERR [SYS/PERM] Your account is not enabled for POP access. Please try again later",
            ]
        ));
    }

    fn p_096_auth_is_the_credentials() {
        go!(all_say(
            CREDENTIALS,
            &[NO_CODES, CODES, AUTH_CODES],
            &[
                "-ERR [AUTH] Username and password not accepted.",
                "-ERR [AUTH] Application-specific password required: http://support.google.com/",
                "-ERR [auth] please wait and try again",
            ]
        ));
    }

    fn p_096_where_auth_is_announced_its_absence_speaks() {
        go!(all_say(
            NOTHING,
            &[AUTH_CODES],
            &["-ERR Authentication failed.", "-ERR", "-ERR [X-OTHER] Authentication failed."]
        ));
        go!(all_say(
            CREDENTIALS,
            &[NO_CODES, CODES],
            &[
                "-ERR Authentication failed.",
                "-ERR",
                "-ERR Logon failure: unknown user name or bad password."
            ]
        ));
    }

    fn p_081_q_046_unknown_codes_are_no_reason_to_fail() {
        for (capabilities, code) in [(NO_CODES, None), (CODES, Some("REFERRAL/pop://other.example"))] {
            let error = go!(refused(capabilities, "-ERR [REFERRAL/pop://other.example] Try this server."));
            let seen = error.reply().unwrap().code().map(|code| match code {
                ResponseCode::Other(text) => text.to_string(),
                known => panic!("{known:?}"),
            });
            assert_eq!(seen.as_deref(), code);
        }
    }

    fn p_082_a_code_stands_at_the_beginning_or_nowhere() {
        go!(all_say(
            CREDENTIALS,
            &[NO_CODES, CODES],
            &[
                "-ERR wrong [IN-USE]",
                "-ERR  [IN-USE] wrong",
                "-ERR [IN-USE wrong",
                "-ERR [IN-USEFUL] wrong",
                "-ERR []"
            ]
        ));
    }

    fn p_082_codes_of_good_news_need_the_announcement() {
        for (capabilities, code) in [(NO_CODES, None), (CODES, Some(ResponseCode::InUse))] {
            let server = alice()
                .capability_lines(capabilities, capabilities)
                .script("PASS", "+OK [IN-USE] by you\r\n")
                .start()
                .unwrap();
            let mut client = go!(Client::connect(&tls(&server))).unwrap();
            assert_eq!(go!(client.login(&login())).unwrap().code(), code.as_ref());
        }
    }

    fn p_098_q_042_words_of_patience_are_no_wrong_password() {
        go!(all_say(
            PATIENCE,
            &[NO_CODES, CODES, AUTH_CODES],
            &[
                "-ERR alice lock busy!  Is another session active? (11)",
                "-ERR unable to lock",
                "-ERR Maildrop already locked",
                "-ERR mail storage services unavailable, wait a few minutes and try again",
                "-ERR Server Unavailable. 21",
                "-ERR login allowed only every 15 minutes",
                "-ERR Temporary problem, please try again later",
                "-ERR temporarily disabled",
                "-ERR mailbox in use",
                "-ERR Too many connections",
                "-ERR WAIT",
            ]
        ));
    }

    fn q_041_the_words_of_hmailserver() {
        go!(all_say(
            CREDENTIALS,
            &[NO_CODES],
            &["-ERR Invalid user name or password. Please use full email address as user name."]
        ));
        // P-098 has the last word on "too many"; the text tells the person.
        go!(all_say(
            PATIENCE,
            &[NO_CODES],
            &["-ERR Invalid user name or password. Too many invalid logon attempts."]
        ));
    }

    fn q_143_texts_that_are_not_english_or_utf_8() {
        let server = alice()
            .capability_lines(NO_CODES, NO_CODES)
            .script("PASS", &b"-ERR \xb5\xc7\xc2\xbc\xcc\xab \x1b[2J\r\n"[..])
            .start()
            .unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        let error = go!(client.login(&login())).unwrap_err();
        assert_eq!(error.reply().unwrap().text(), b"\xb5\xc7\xc2\xbc\xcc\xab \x1b[2J");
        // Shown, it does nothing to a terminal.
        assert!(error.to_string().contains(r"\xb5") && !error.to_string().contains('\x1b'), "{error}");
    }

    fn p_086_refusals_of_user_are_read_like_those_of_pass() {
        for (answer, says) in [
            ("-ERR [LOGIN-DELAY] too soon", TOO_SOON),
            ("-ERR [IN-USE]", BUSY),
            ("-ERR unknown user", CREDENTIALS),
            ("-ERR locked", PATIENCE),
        ] {
            let server = alice()
                .capability_lines(NO_CODES, NO_CODES)
                .script("USER", format!("{answer}\r\n"))
                .script("APOP", format!("{answer}\r\n"))
                .greeting("+OK <1@x>\r\n")
                .start()
                .unwrap();
            let mut client = go!(Client::connect(&tls(&server))).unwrap();
            assert_eq!(Says::from(&go!(client.login(&login())).unwrap_err()), says, "{answer}");
            assert_eq!(Says::from(&go!(client.apop("alice", "x")).unwrap_err()), says, "{answer}");
        }
    }

    fn p_084_the_real_lock_says_so() {
        let server = alice().start().unwrap();
        let _lock = server.maildrop("alice").unwrap().lock().unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        assert_eq!(Says::from(&go!(client.login(&login())).unwrap_err()), BUSY);
        drop(_lock);
        go!(client.login(&login())).unwrap();
    }

    fn refusals_elsewhere_have_their_codes_and_no_guesses() {
        let server = alice()
            .script("STAT", "-ERR [SYS/TEMP] later\r\n")
            .script("LIST", "-ERR wait a few minutes\r\n")
            .script("UIDL", "-ERR [SYS/PERM] never\r\n")
            .script("DELE", "-ERR [AUTH] odd\r\n")
            .start()
            .unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        go!(client.login(&login())).unwrap();
        assert_eq!(Says::from(&go!(client.stat()).unwrap_err()), PATIENCE);
        assert_eq!(Says::from(&go!(client.list()).unwrap_err()), NOTHING);
        assert_eq!(Says::from(&go!(client.uidl()).unwrap_err()), A_PERSON);
        assert_eq!(Says::from(&go!(client.dele(1)).unwrap_err()), NOTHING);
    }

    fn q_043_stat_that_says_that_the_login_came_too_soon() {
        let server = alice().script("STAT", "-ERR login allowed only every 15 minutes\r\n").start().unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        go!(client.login(&login())).unwrap();
        let error = go!(client.stat()).unwrap_err();
        assert!(error.is_temporary() && error.is_retryable(), "{error:?}");
    }

    fn q_025_q_026_a_server_that_wants_tls_is_no_wrong_password() {
        for answer in [
            "-ERR STLS is required.",
            "-ERR A SSL/TLS-connection is required for authentication.",
            "-ERR [AUTH] USER command only available under a layer",
        ] {
            let server = alice()
                .capability_lines(NO_CODES, NO_CODES)
                .script("USER", format!("{answer}\r\n"))
                .start()
                .unwrap();
            let mut client = go!(Client::connect(&crate::setting::plain(&server))).unwrap();
            let error = go!(client.login(&login())).unwrap_err();
            assert!(!error.is_authentication() && !error.is_retryable(), "{error:?}");
        }
    }
}
