//! What to try when a big provider refuses a sign-in: their servers' words seldom say it.

use std::time::Duration;

/// A mail provider, by the domain of its servers.
struct Provider {
    domains: &'static [&'static str],
    hint: &'static str,
}

const PROVIDERS: &[Provider] = &[
    Provider {
        domains: &["gmail.com", "googlemail.com"],
        hint: "Google takes a token (--oauth-token-command) or an app password, never the password of the account, and POP3 \
               has to be enabled in Gmail's settings.",
    },
    Provider {
        domains: &["outlook.com", "hotmail.com", "office365.com", "partner.outlook.cn"],
        hint: "Microsoft takes tokens only (--oauth-token-command). The token may be right all the same: POP3 has to be \
               allowed for the mailbox, and the user's name is the address of the mailbox, also of a shared one.",
    },
    Provider {
        domains: &["yahoo.com", "yahoo.co.jp", "aol.com", "att.net", "verizon.net"],
        hint: "This provider takes a token or an app password, not the password of the account.",
    },
    Provider {
        domains: &["web.de"],
        hint: "WEB.DE wants POP3 enabled in its settings, switches it off after long disuse, and refuses the sign-in of those \
               who come more than once in 15 minutes.",
    },
    Provider {
        domains: &["gmx.net", "gmx.com", "gmx.de", "gmx.at", "gmx.ch"],
        hint: "GMX wants POP3 enabled in its settings, and switches it off after long disuse; with two-factor sign-in it wants \
               an app password.",
    },
    Provider {
        domains: &["ovh.net", "ovh.com"],
        hint: "OVH cuts off those who come more than once in 60 seconds.",
    },
    Provider {
        domains: &["inbox.lv"],
        hint: "Inbox.lv switches POP3 off after two months of disuse; enable it again in its settings.",
    },
    Provider {
        domains: &["zoho.com", "zoho.eu", "zoho.in", "zoho.jp", "zoho.com.au", "zohocloud.ca"],
        hint: "Zoho wants POP3 enabled in its settings, has none for newer free accounts, and uses poppro.zoho.com for domains \
               of one's own.",
    },
    Provider {
        domains: &["qq.com", "163.com", "126.com"],
        hint: "This provider takes an authorization code from its web settings, not the password of the account.",
    },
    Provider {
        domains: &["yandex.com", "yandex.ru", "mail.ru", "naver.com"],
        hint: "This provider wants POP3 enabled in its settings, and an app password.",
    },
    Provider {
        domains: &["fastmail.com"],
        hint: "Fastmail takes an app password, not the password of the account.",
    },
    Provider { domains: &["t-online.de"], hint: "Telekom has a password of its own for mail programs." },
];

/// What to try at this host.
pub(crate) fn hint(host: &str) -> Option<&'static str> {
    PROVIDERS.iter().find(|provider| is_within(host, provider.domains)).map(|known| known.hint)
}

/// How long this host wants to be left alone between two sign-ins, without announcing it.
pub(crate) fn pause(host: &str) -> Option<Duration> {
    const PAUSES: [(&[&str], u64); 2] = [(&["web.de"], 15 * 60), (&["ovh.net", "ovh.com"], 60)];
    let known = PAUSES.iter().find(|(domains, _)| is_within(host, domains));
    known.map(|(_, seconds)| Duration::from_secs(*seconds))
}

fn is_within(host: &str, domains: &[&str]) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let within =
        |domain: &&str| host.strip_suffix(*domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    domains.iter().any(within)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{hint, pause};

    #[test]
    fn q_030_exchange_may_mean_the_mailbox_and_not_the_token() {
        assert!(hint("outlook.office365.com").unwrap().contains("POP3 has to be allowed"));
    }

    #[test]
    fn q_048_gmx_wants_pop3_enabled() {
        assert!(hint("pop.gmx.net").unwrap().contains("enabled"));
    }

    #[test]
    fn q_049_q_050_two_providers_want_pauses() {
        assert!(hint("pop3.web.de.").unwrap().contains("15 minutes"));
        assert!(hint("ssl0.OVH.net").unwrap().contains("60 seconds"));
        assert_eq!(pause("ssl0.ovh.net"), Some(Duration::from_secs(60)));
        assert_eq!((pause("pop3.web.de"), pause("pop.gmail.com")), (Some(Duration::from_secs(900)), None));
    }

    #[test]
    fn q_051_disuse_switches_it_off() {
        assert!(hint("mail.inbox.lv").unwrap().contains("two months"));
        assert!(hint("pop.zoho.eu").is_some());
    }

    #[test]
    fn q_052_google_wants_an_app_password_or_a_token() {
        assert!(hint("pop.gmail.com").unwrap().contains("app password"));
    }

    #[test]
    fn only_whole_domains_count() {
        assert_eq!(hint("pop.notgmail.com"), None);
        assert_eq!(hint("gmail.com.example.org"), None);
        assert_eq!(hint("localhost"), None);
    }
}
