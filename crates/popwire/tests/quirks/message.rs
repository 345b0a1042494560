// RETR and TOP.

use crate::setting::{login, tls};
use crate::stage::{MESSAGES, with};

case! {
    /// unharmed: the pieces are put together.
    fn q_096_ends_in_pieces() {
        for quirk in ["segment=1", "segment=7"] {
            let server = with(&[quirk]);
            let mut client = go!(Client::connect(&tls(&server))).unwrap();
            go!(client.login(&login())).unwrap();
            for (number, message) in (1..).zip(MESSAGES) {
                assert_eq!(go!(go!(client.retr(number)).unwrap().read_to_vec()).unwrap(), message.as_bytes());
            }
        }
    }
}
