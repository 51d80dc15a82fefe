//! Bodies of the fuzz targets of RESP, shared with the tests that replay their corpora.

use super::{Parsed, Parser, Reply, ReplyLimits, RequestLimits, Requests};

/// Small enough that a fuzzer reaches each of them.
const LIMITS: RequestLimits =
    RequestLimits { args: 64, arg_bytes: 512, request_bytes: 2048, inline_bytes: 256 };

/// Any bytes as a connection's input: the same commands, or the same error behind them, whether they
/// arrive at once or in pieces, and every argument within the input.
///
/// # Panics
/// When a promise is broken.
pub fn resp_requests(data: &[u8]) {
    let Some((&piece, data)) = data.split_first() else { return };
    let (whole, error) = parsed_in_pieces(data, data.len().max(1));
    for piece in [1, usize::from(piece).max(1)] {
        let (commands, cut_error) = parsed_in_pieces(data, piece);
        assert_eq!(commands, whole, "in pieces of {piece}");
        assert_eq!(cut_error, error, "in pieces of {piece}");
    }
}

/// The commands of `data` when it arrives `piece` bytes at a time, and the error behind them.
///
/// # Panics
/// When the parser's accounts do not hold.
pub fn parsed_in_pieces(data: &[u8], piece: usize) -> (Vec<Vec<Vec<u8>>>, Option<String>) {
    let mut parser = Parser::new();
    let mut commands = Vec::new();
    let (mut start, mut end) = (0, 0);
    while end < data.len() {
        end = (end + piece).min(data.len());
        loop {
            let input = &data[start..end];
            let mut requests = Requests::new();
            let Parsed { consumed, need, error } = parser.parse(input, &LIMITS, 3, &mut requests);
            assert!(consumed <= input.len() && requests.len() <= 3);
            let last = requests.bytes_of(requests.len());
            assert!(last <= consumed);
            commands.extend(requests.iter().map(|command| {
                assert!(!command.is_empty() && command.len() <= LIMITS.inline_bytes);
                assert!(command.iter().all(|arg| arg.range().end <= consumed));
                command.iter().map(|arg| input[arg.range()].to_vec()).collect::<Vec<_>>()
            }));
            if let Some(error) = error {
                return (commands, Some(error.to_string()));
            }
            start += consumed;
            assert!(need <= LIMITS.request_bytes + LIMITS.inline_bytes + 64);
            if consumed == 0 {
                assert!(need > end - start, "the parser stopped before what it needs");
                break;
            }
        }
    }
    (commands, None)
}

/// Any bytes as a server's reply: no panic, and a length within the input.
///
/// # Panics
/// When a promise is broken.
pub fn resp_reply(data: &[u8]) {
    let limits = ReplyLimits { bulk_bytes: 1024, elements: 256, depth: 8 };
    if let Ok(Some((reply, len))) = Reply::read(data, &limits) {
        assert!(len <= data.len());
        let again = Reply::read(&data[..len], &limits).expect("the same bytes");
        let same = again.is_some_and(|(again, again_len)| {
            // A double may be NaN, which equals nothing.
            again_len == len && format!("{again:?}") == format!("{reply:?}")
        });
        assert!(same, "the bytes behind a reply change it");
    }
}
