//! The words of a run control file, as fetchmail's own lexer takes them apart.
//!
//! Of the rules that fit, the longest match counts; after `user`, `password`, `is`, `to` and `=` a word is a word and no
//! keyword. fetchmail's manual, "THE RUN CONTROL FILE", tells the rest.

/// A word, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `=`
    Equals,
    /// In quotes, or where no keyword can stand: with its escapes undone.
    Quoted(Vec<u8>),
    /// A keyword, a number, or a string without quotes: as it is written.
    Bare(Vec<u8>),
}

/// All words of the file but those that mean nothing.
pub(super) fn tokens(text: &[u8]) -> Vec<Token> {
    let mut lexer = Lexer { rest: text, line: 1, name_follows: false, tokens: Vec::new() };
    while lexer.step() {}
    lexer.tokens
}

struct Lexer<'a> {
    rest: &'a [u8],
    line: usize,
    /// Whether the next word is a name, whatever it looks like.
    name_follows: bool,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    /// Takes one thing off the text. Returns whether there was one.
    fn step(&mut self) -> bool {
        let Some(&first) = self.rest.first() else { return false };
        match first {
            b' ' | b'\t' | b'\r' | b';' | b':' | b',' => self.take(1),
            b'\n' => self.take(1),
            b'\\' if self.rest.starts_with(b"\\\n") => self.take(2),
            b'#' => {
                let end = self.rest.iter().position(|&octet| octet == b'\n');
                self.take(end.unwrap_or(self.rest.len()));
            }
            b'=' => {
                self.push(Kind::Equals);
                self.take(1);
                self.name_follows = true;
            }
            _ => self.word(first),
        }
        true
    }

    fn word(&mut self, first: u8) {
        let bare =
            self.rest.iter().position(|octet| b"=;:, \t\r\n".contains(octet)).unwrap_or(self.rest.len());
        let quoted = matches!(first, b'"' | b'\'')
            .then(|| self.rest.iter().skip(1).position(|&octet| octet == first).map(|inner| inner + 2))
            .flatten();
        if let Some(length) = quoted.filter(|&length| length >= bare) {
            let inner = self.rest.get(1..length - 1).unwrap_or_default();
            self.push(Kind::Quoted(unescape(inner)));
            self.take(length);
            self.name_follows = false;
            return;
        }
        let word = self.rest.get(..bare).unwrap_or_default().to_vec();
        self.take(bare);
        if std::mem::take(&mut self.name_follows) {
            self.push(Kind::Quoted(unescape(&word)));
            return;
        }
        self.name_follows = matches!(&*word, b"user" | b"username" | b"pass" | b"password" | b"is" | b"to")
            && !self.after_auth();
        if !NOISE.contains(&&*word) {
            self.push(Kind::Bare(word));
        }
    }

    /// Whether the last word was `auth`: `password` is then a way to sign in.
    fn after_auth(&self) -> bool {
        let words: [&[u8]; 4] = [b"auth", b"authenticate", b"preauth", b"preauthenticate"];
        self.tokens
            .last()
            .is_some_and(|last| matches!(&last.kind, Kind::Bare(word) if words.contains(&&**word)))
    }

    fn push(&mut self, kind: Kind) {
        self.tokens.push(Token { line: self.line, kind });
    }

    fn take(&mut self, length: usize) {
        let (taken, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.line += taken.iter().filter(|&&octet| octet == b'\n').count();
        self.rest = rest;
    }
}

/// Words that are there for the ear.
const NOISE: [&[u8]; 5] = [b"with", b"and", b"has", b"wants", b"options"];

/// Undoes the escapes, which are those of C with decimal numbers besides. It goes by fetchmail's code, to the octet.
pub(super) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'\\' {
            plain.push(first);
            continue;
        }
        let Some((&escape, after)) = rest.split_first() else { break };
        match escape {
            b'x' | b'X' => {
                rest = after;
                plain.push(number(&mut rest, 16, 2));
            }
            b'0' => plain.push(number(&mut rest, 8, 3)),
            b'1'..=b'9' => plain.push(number(&mut rest, 10, 3)),
            _ => {
                rest = after;
                match escape {
                    b'\n' => {}
                    b'n' => plain.push(b'\n'),
                    b't' => plain.push(b'\t'),
                    b'b' => plain.push(8),
                    b'r' => plain.push(b'\r'),
                    other => plain.push(other),
                }
            }
        }
    }
    plain
}

/// Takes at most so many digits off the text.
fn number(rest: &mut &[u8], radix: u32, most: usize) -> u8 {
    let mut value: u32 = 0;
    for _ in 0..most {
        let Some((&first, after)) = rest.split_first() else { break };
        let Some(digit) = char::from(first).to_digit(radix) else { break };
        value = value * radix + digit;
        *rest = after;
    }
    // As an assignment to a char of C does.
    value as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<(usize, String)> {
        let kinds = tokens(text.as_bytes()).into_iter().map(|token| {
            let word = match token.kind {
                Kind::Equals => "=".to_owned(),
                Kind::Quoted(word) => format!("'{}'", String::from_utf8(word).unwrap()),
                Kind::Bare(word) => String::from_utf8(word).unwrap(),
            };
            (token.line, word)
        });
        kinds.collect()
    }

    #[test]
    fn after_user_and_password_every_word_is_a_name() {
        let found = words("user keep password ssl keep\nis \"to\" here auth password ssl pass 'a b'");
        let expected = [
            (1, "user"),
            (1, "'keep'"),
            (1, "password"),
            (1, "'ssl'"),
            (1, "keep"),
            (2, "is"),
            (2, "'to'"),
            (2, "here"),
            (2, "auth"),
            (2, "password"),
            (2, "ssl"),
            (2, "pass"),
            (2, "'a b'"),
        ];
        assert_eq!(found, expected.map(|(line, word)| (line, word.to_owned())));
    }

    #[test]
    fn comments_noise_and_continued_lines_are_nothing() {
        let found = words("# one\npoll h # user x\n with proto \\\n pop3, and has a#b;'x#\ny' z");
        let expected =
            [(2, "poll"), (2, "h"), (3, "proto"), (4, "pop3"), (4, "a#b"), (4, "'x#\ny'"), (5, "z")];
        assert_eq!(found, expected.map(|(line, word)| (line, word.to_owned())));
    }

    #[test]
    fn escapes_are_those_of_fetchmail() {
        for (written, meant) in [
            (r"a\\b\qc\x41\x4", &b"a\\bqcA\x04"[..]),
            (r"\0101\101\65", b"\x081eA"),
            ("\\\nx\\", b"x"),
            (r"\t\r\n\b", b"\t\r\n\x08"),
        ] {
            assert_eq!(unescape(written.as_bytes()), meant, "{written}");
        }
    }
}
