use super::*;

const FETCHMAIL: &str = "set idfile 'x'\ndefaults proto pop3\n\
    poll h via \"v\" port 110 auth password user 'a' there pass b\\x41 is c=d * here options nokeep ssl sslproto '' limit 3\n\
    mda \"x %T %F %%\" smtphost a/b lmtp\n";
const GETMAIL: &str = "[retriever]\ntype = SimplePOP3Retriever\nserver=h\nusername = a\npassword_command = ('a', \"b\\n\",)\n\
    [destination]\ntype = MultiDestination\ndestinations = ('[x]', '~/b/')\n\
    [x]\ntype = MDA_external\npath = ~/x\narguments=('a',)\n[options]\ndelete_after: 3\n";
const MPOP: &str = "defaults\ntls on\naccount a\nhost h\nuser \"u\"\naccount b : a , a\nkillsize 10m\nskipsize 7k\n\
    delivery mda x '%F'\nuidls_file ~/%U%H%\n";
const THUNDERBIRD: &str = "user_pref(\"mail.accountmanager.accounts\", \"account1\");\n\
    user_pref(\"mail.account.account1.server\", \"s\");\nuser_pref(\"mail.server.s.type\", \"pop3\");\n\
    user_pref(\"mail.server.s.hostname\", \"h\");\nuser_pref(\"mail.server.s.userName\", \"u\");\n\
    user_pref(\"mail.server.s.port\", 99);\n";
/// Something of the list of each tool.
const IDS: &[u8] = b"a@h 1\n b@v x y\n 2 h u\nab\n*h u\nk a 3\n\0\n u\0 5\n";

/// Numbers from a seed, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    /// The octets with up to four changes: some gone, some others, some twice.
    fn damaged(&mut self, octets: &[u8]) -> Vec<u8> {
        let mut octets = octets.to_vec();
        for _ in 0..self.below(5) {
            let at = self.below(octets.len());
            match self.below(4) {
                0 => drop(octets.remove(at)),
                1 => octets[at] = u8::try_from(self.below(256)).unwrap(),
                2 => octets.insert(at, b" \n'\"\\%=:;,#([)"[self.below(14)]),
                _ => {
                    let end = (at + self.below(20)).min(octets.len());
                    let part = octets[at..end].to_vec();
                    let into = self.below(octets.len());
                    octets.splice(into..into, part);
                }
            }
        }
        octets
    }
}

#[test]
fn damaged_files_are_refused_or_make_a_configuration_that_is_toml() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let places = Places { home: home.into(), config: home.join("config"), login: Some("me".into()) };
    let (mut read_well, mut refused) = (0, 0);
    for (kind, name, contents) in [
        (Kind::Fetchmailrc, "rc", FETCHMAIL),
        (Kind::Getmailrc, "rc", GETMAIL),
        (Kind::Mpoprc, "rc", MPOP),
        (Kind::Thunderbird, "prefs.js", THUNDERBIRD),
    ] {
        let mut random = Random(1);
        let (path, ids) = (home.join(name), home.join("ids"));
        for round in 0..200 {
            fs::write(&path, random.damaged(contents.as_bytes())).unwrap();
            fs::write(&ids, random.damaged(IDS)).unwrap();
            let request = Request { path: Some(&path), ids: Some(&ids), places: &places };
            match read(kind, request) {
                Ok(imported) => {
                    read_well += 1;
                    let plan = Plan::new(&home.join("config.toml"), &imported.accounts);
                    assert!(plan.is_ok(), "{kind:?}, round {round}: {plan:?}");
                }
                Err(ImportError::Syntax { .. }) => refused += 1,
                Err(error) => panic!("{kind:?}, round {round}: {error}"),
            }
        }
    }
    assert!(read_well > 300 && refused > 100, "{read_well} {refused}");
}
