//! `~/.netrc`, where fetchmail, getmail and mpop look for passwords that are not in their own files.

/// The password of this user at this host. An entry for any user of the host will do if none names this one.
pub(super) fn password(netrc: &[u8], host: &str, user: &str) -> Option<Vec<u8>> {
    let mut words = words(netrc).into_iter().peekable();
    let mut found = None;
    while let Some(word) = words.next() {
        let machine = match &*word {
            b"machine" => words.next(),
            b"default" => None,
            _ => continue,
        };
        let (mut login, mut password) = (None, None);
        while let Some(word) = words.next_if(|word| !matches!(&**word, b"machine" | b"default")) {
            match &*word {
                b"login" => login = words.next(),
                b"password" => password = words.next(),
                b"account" => drop(words.next()),
                // A macro goes on to the next empty line, and is never for us.
                b"macdef" => break,
                _ => {}
            }
        }
        if machine.is_some_and(|machine| !machine.eq_ignore_ascii_case(host.as_bytes())) {
            continue;
        }
        match login {
            Some(login) if login == user.as_bytes() => return password,
            Some(_) => {}
            None => found = found.or(password),
        }
    }
    found
}

/// The words of the file: between blanks, or in double quotes; `\` before a character takes away its meaning.
fn words(netrc: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    for line in netrc.split(|&octet| octet == b'\n') {
        let mut rest = line;
        loop {
            rest = rest.trim_ascii_start();
            match rest.split_first() {
                None | Some((b'#', _)) => break,
                Some((b'"', after)) => {
                    let (word, after) = word(after, |octet| octet == b'"');
                    words.push(word);
                    rest = after.get(1..).unwrap_or_default();
                }
                Some(_) => {
                    let (word, after) = word(rest, |octet| octet.is_ascii_whitespace());
                    words.push(word);
                    rest = after;
                }
            }
        }
    }
    words
}

fn word(text: &[u8], ends: impl Fn(u8) -> bool) -> (Vec<u8>, &[u8]) {
    let mut word = Vec::new();
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        if ends(first) {
            break;
        }
        rest = after;
        if first == b'\\'
            && let Some((&next, after)) = rest.split_first()
        {
            word.push(next);
            rest = after;
        } else {
            word.push(first);
        }
    }
    (word, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_that_of_host_and_user() {
        let netrc = b"machine a.example login bob password one\n# machine b.example password no\n\
                      machine b.example login al password \"t w\\\"o\" machine b.example login bob password three\n\
                      default login al password four";
        for (host, user, expected) in [
            ("A.example", "bob", Some(&b"one"[..])),
            ("b.example", "al", Some(b"t w\"o")),
            ("b.example", "bob", Some(b"three")),
            ("c.example", "al", Some(b"four")),
            ("c.example", "eve", None),
        ] {
            assert_eq!(password(netrc, host, user).as_deref(), expected, "{user}@{host}");
        }
    }
}
