// The ways to read a message, their limits, and giving up on one: P-029, P-030, P-032, P-064.

use popwire::proto::{Error as Protocol, Oversize};
use popwire::{Connector, Limits};
use popwire_server::{Content, Maildrop, Server};

use crate::setting::{PASSWORD, login, plain, tls};

/// Dots, empty lines, bare CR, LF and NUL, a long line, no line end at the end of the last line but one.
fn mail() -> Vec<u8> {
    let long = "y".repeat(40_000);
    format!("Subject: x\r\n\r\n.\r\n..\r\n\r\n.x\0\r\n{long}\r\n.\r\nlast\r\n").into_bytes()
}

fn server() -> Server {
    let generated = Content::Generated { size: 3 << 20, line_len: 70 };
    let one_line = Content::Generated { size: 3 << 20, line_len: 4 << 20 };
    let maildrop = Maildrop::memory([mail().into(), generated, one_line]);
    Server::builder().user("alice", PASSWORD, maildrop).start().unwrap()
}

/// What message `number` is.
fn expected(number: u32) -> Vec<u8> {
    let mut octets = Vec::new();
    let content = match number {
        1 => return mail(),
        2 => Content::Generated { size: 3 << 20, line_len: 70 },
        _ => Content::Generated { size: 3 << 20, line_len: 4 << 20 },
    };
    std::io::Read::read_to_end(&mut content.reader(), &mut octets).unwrap();
    octets
}

helper! {
    fn enter(connector: &Connector) -> Client {
        let mut client = go!(Client::connect(connector)).unwrap();
        go!(client.login(&login())).unwrap();
        client
    }
}

fn too_large(error: &popwire::Error) -> bool {
    matches!(error.protocol(), Some(Protocol::TooLarge { what: Oversize::Message, .. }))
}

case! {
    fn p_029_all_ways_to_read_give_the_same() {
        let server = server();
        let mut client = go!(enter(&plain(&server)));
        for number in 1..=3 {
            let expected = expected(number);

            assert!(go!(go!(client.retr(number)).unwrap().read_to_vec()).unwrap() == expected);

            let mut copied = Vec::new();
            let mut message = go!(client.retr(number)).unwrap();
            assert_eq!(go!(message.copy_to(&mut copied)).unwrap(), expected.len() as u64);
            assert!(copied == expected);
            assert_eq!(message.octets(), expected.len() as u64);
            assert!(message.is_complete() && message.number() == number);
            drop(message);

            let mut message = go!(client.retr(number)).unwrap();
            let (mut lines, mut line) = (Vec::new(), Vec::new());
            while go!(message.read_line(&mut line)).unwrap() {
                lines.extend_from_slice(&line);
                lines.extend_from_slice(b"\r\n");
            }
            assert!(lines == expected);
            drop(message);

            let mut message = go!(client.retr(number)).unwrap();
            let mut whole = Vec::new();
            go!(message.read_to_end(&mut whole)).unwrap();
            assert!(whole == expected);
            drop(message);

            for size in [1, 7, 100_000] {
                if size == 1 && number > 1 {
                    continue;
                }
                let mut message = go!(client.retr(number)).unwrap();
                let (mut pieces, mut piece) = (Vec::new(), vec![0; size]);
                loop {
                    match go!(message.read(&mut piece)).unwrap() {
                        0 => break,
                        octets => pieces.extend_from_slice(&piece[..octets]),
                    }
                }
                assert!(pieces == expected);
                assert!(message.is_complete());
            }

            let mut message = go!(client.retr(number)).unwrap();
            let mut buffered = Vec::new();
            while go!(message.read_until(b'\n', &mut buffered)).unwrap() > 0 {}
            assert!(buffered == expected);
        }
    }

    fn p_029_what_follows_a_message_that_is_read_into_large_memory_is_kept() {
        let server = server();
        for connector in [plain(&server), tls(&server)] {
            let mut client = go!(enter(&connector));
            let numbers = [2, 1, 1, 3, 1, 2];
            let mut messages = client.retrieve_many(numbers);
            let mut piece = vec![0; 300_000];
            for number in numbers {
                let (which, message) = go!(messages.next()).unwrap();
                let (mut message, mut pieces) = (message.unwrap(), Vec::new());
                loop {
                    match go!(message.read(&mut piece)).unwrap() {
                        0 => break,
                        octets => pieces.extend_from_slice(&piece[..octets]),
                    }
                }
                assert!(which == number && pieces == expected(number) && message.is_complete());
                assert_eq!(message.octets(), pieces.len() as u64);
            }
            assert!(go!(messages.next()).is_none());
            drop(messages);
            assert!(go!(client.noop()).unwrap().is_ok());
        }
    }

    fn p_029_ways_to_read_may_be_mixed() {
        let server = server();
        let mut client = go!(enter(&plain(&server)));
        let mut message = go!(client.retr(1)).unwrap();
        let (mut line, mut four, mut copied) = (Vec::new(), [0; 4], Vec::new());
        assert!(go!(message.read_line(&mut line)).unwrap());
        go!(message.read_exact(&mut four)).unwrap();
        go!(message.copy_to(&mut copied)).unwrap();
        assert!([&line[..], b"\r\n", &four, &copied].concat() == mail());
        assert_eq!(go!(message.copy_to(&mut copied)).unwrap(), 0);
        assert_eq!(go!(message.read_to_vec()).unwrap(), b"");
    }

    fn p_064_top_gives_the_header_and_so_many_lines() {
        let server = server();
        let mut client = go!(enter(&plain(&server)));
        assert_eq!(go!(go!(client.top(1, 0)).unwrap().read_to_vec()).unwrap(), b"Subject: x\r\n\r\n");
        assert_eq!(
            go!(go!(client.top(1, 2)).unwrap().read_to_vec()).unwrap(),
            b"Subject: x\r\n\r\n.\r\n..\r\n"
        );
        assert!(go!(go!(client.top(1, u32::MAX)).unwrap().read_to_vec()).unwrap() == mail());
    }

    fn p_029_too_large_for_memory_is_an_error_and_streams_all_the_same() {
        let server = server();
        let mut limits = Limits::default();
        limits.message_in_memory = 1 << 20;
        limits.discard = 8 << 20;
        let mut client = go!(enter(&plain(&server).limits(limits)));
        let error = go!(go!(client.retr(2)).unwrap().read_to_vec()).unwrap_err();
        assert!(too_large(&error) && error.to_string().contains("1048576"), "{error:?}");
        // The session goes on, and a smaller one fits.
        assert!(go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap() == mail());
        let mut copied = Vec::new();
        assert_eq!(go!(go!(client.retr(2)).unwrap().copy_to(&mut copied)).unwrap(), 3 << 20);

        let mut message = go!(client.retr(3)).unwrap();
        let mut line = Vec::new();
        assert!(go!(message.read_line(&mut line)).unwrap() && go!(message.read_line(&mut line)).unwrap());
        let error = go!(message.read_line(&mut line)).unwrap_err();
        assert!(too_large(&error), "{error:?}");
        drop(message);
        go!(client.noop()).unwrap();
    }

    fn p_029_a_ceiling_on_messages_holds_for_streams_too() {
        let server = server();
        let mut limits = Limits::default();
        limits.message_octets = 1 << 20;
        let mut client = go!(enter(&plain(&server).limits(limits)));
        let mut copied = Vec::new();
        assert!(too_large(&go!(go!(client.retr(2)).unwrap().copy_to(&mut copied)).unwrap_err()));
        assert!(copied.len() <= 1 << 20);
        assert!(client.is_broken());
        assert!(go!(client.noop()).is_err());
    }

    fn p_032_a_writer_that_fails_is_told_from_a_connection_that_does() {
        let server = server();
        let mut client = go!(enter(&plain(&server)));
        let mut small = [0_u8; 1000];
        let mut writer = std::io::Cursor::new(&mut small[..]);
        let error = go!(go!(client.retr(1)).unwrap().copy_to(&mut writer)).unwrap_err();
        assert!(error.is_writer() && !error.is_closed() && !error.is_retryable(), "{error:?}");
        // The rest of the message is skipped.
        assert_eq!(go!(client.stat()).unwrap().messages, 3);
    }

    fn p_030_a_small_rest_of_a_message_is_skipped() {
        let server = server();
        let mut client = go!(enter(&plain(&server)));
        for octets in [0, 1, 13, 30_000] {
            let mut message = go!(client.retr(1)).unwrap();
            let mut some = vec![0; octets];
            go!(message.read_exact(&mut some)).unwrap();
            drop(message);
            assert_eq!(go!(client.list_one(2)).unwrap().scan.octets, Some(3 << 20));
        }
        // Never read at all, twice over.
        drop(go!(client.retr(1)).unwrap());
        drop(go!(client.retr(1)).unwrap());
        assert_eq!(go!(client.stat()).unwrap().messages, 3);
        drop(go!(client.retr(1)).unwrap());
        assert!(go!(client.quit()).is_committed());
    }

    fn p_030_a_large_rest_of_a_message_ends_the_session() {
        let server = server();
        let mut client = go!(enter(&plain(&server)));
        let mut message = go!(client.retr(2)).unwrap();
        let mut some = vec![0; 1000];
        go!(message.read_exact(&mut some)).unwrap();
        drop(message);
        let error = go!(client.dele(2)).unwrap_err();
        assert_eq!(error.protocol(), Some(&Protocol::Abandoned));
        assert!(client.is_broken());
        assert_eq!(client.marked(), 0);
        assert!(!crate::setting::said(&server).contains(&"DELE 2".to_owned()));
    }

    fn p_030_what_is_large_is_for_the_caller_to_say() {
        let server = server();
        let mut limits = Limits::default();
        limits.discard = 4 << 20;
        let mut client = go!(enter(&plain(&server).limits(limits)));
        drop(go!(client.retr(2)).unwrap());
        assert_eq!(go!(client.stat()).unwrap().messages, 3);
    }
}
