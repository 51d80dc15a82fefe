//! Requests, whole and broken.

use proptest::prelude::*;

use super::fuzzing::{parsed_in_pieces, resp_requests};
use super::*;

/// The commands of `input` under `limits`, how much of it they are, and the error behind them.
fn parse(input: &[u8], limits: &RequestLimits) -> (Vec<Vec<Vec<u8>>>, Parsed) {
    let mut requests = Requests::new();
    let parsed = Parser::new().parse(input, limits, usize::MAX, &mut requests);
    let words = |command: &[Span]| command.iter().map(|arg| input[arg.range()].to_vec()).collect();
    (requests.iter().map(words).collect(), parsed)
}

fn encoded(commands: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, Version::Resp2);
    for command in commands {
        encoder.array(command.len());
        command.iter().for_each(|arg| encoder.bulk(arg));
    }
    out
}

fn error_of(input: &[u8]) -> Option<ProtocolError> {
    parse(input, &RequestLimits::default()).1.error
}

#[test]
fn a_pipeline_cut_at_each_byte_gives_its_whole_commands() {
    let commands = vec![
        vec![b"SET".to_vec(), b"k\0\r\n".to_vec(), vec![b'v'; 300]],
        vec![b"GET".to_vec(), b"".to_vec()],
        vec![b"PING".to_vec()],
    ];
    let input = encoded(&commands);
    let ends: Vec<usize> = (1..=3).map(|count| encoded(&commands[..count]).len()).collect();
    for cut in 0..=input.len() {
        let whole = ends.iter().filter(|&&end| end <= cut).count();
        let (found, parsed) = parse(&input[..cut], &RequestLimits::default());
        assert_eq!(found, commands[..whole], "cut at {cut}");
        assert_eq!(parsed.error, None, "cut at {cut}");
        assert_eq!(parsed.consumed, whole.checked_sub(1).map_or(0, |last| ends[last]));
        assert!(parsed.need > cut - parsed.consumed, "cut at {cut}: {}", parsed.need);
        if whole < 3 {
            assert!(parsed.consumed + parsed.need <= ends[whole], "cut at {cut}");
        }
    }
}

#[test]
fn a_burst_ends_at_its_most() {
    let input = b"*1\r\n$4\r\nPING\r\n".repeat(5);
    let mut requests = Requests::new();
    let parsed = Parser::new().parse(&input, &RequestLimits::default(), 2, &mut requests);
    assert_eq!((requests.len(), parsed.consumed, parsed.need), (2, 28, 1));
}

#[test]
fn empty_arrays_and_lines_are_passed_over() {
    let input = b"*0\r\n*-1\r\n\r\n  \r\n\nPING\r\n";
    let (found, parsed) = parse(input, &RequestLimits::default());
    assert_eq!(found, [[b"PING"]]);
    assert_eq!((parsed.consumed, parsed.error), (input.len(), None));
}

#[test]
fn lines_of_words() {
    let (found, _) = parse(b"set  'a b' \"c'd\" \x00\xff\r\nget ''\n", &RequestLimits::default());
    assert_eq!(found, [vec![&b"set"[..], b"a b", b"c'd", b"\x00\xff"], vec![b"get", b""]]);
    for line in ["get 'a\n", "get \"a\"b\n", "get a'b\n", "get \"\n"] {
        assert_eq!(error_of(line.as_bytes()), Some(ProtocolError::Quotes), "{line}");
    }
    assert_eq!(error_of(b"get \"\\x00\"\n"), Some(ProtocolError::Escape));
}

#[test]
fn what_is_no_request() {
    use ProtocolError::*;
    for (input, error) in [
        (&b"*x\r\n"[..], ArrayLength),
        (b"*\r\n", ArrayLength),
        (b"*1\n", ArrayLength),
        (b"*1\rx", ArrayLength),
        (b"*--1\r\n", ArrayLength),
        (b"*1048577\r\n", ArrayLength),
        (b"*4294967297\r\n", ArrayLength),
        (b"*18446744073709551617\r\n", ArrayHeader),
        (b"*1\r\n*1\r\n$1\r\na\r\n", NotBulk(b'*')),
        (b"*1\r\n:1\r\n", NotBulk(b':')),
        (b"*1\r\n$-1\r\n", BulkLength),
        (b"*1\r\n$\r\n", BulkLength),
        (b"*1\r\n$1a\r\n", BulkLength),
        (b"*1\r\n$67108865\r\n", BulkLength),
        (b"*1\r\n$9999999999\r\n", BulkLength),
        (b"*1\r\n$99999999999999999999999\r\n", BulkHeader),
        (b"*1\r\n$1\r\nab\r\n", BulkEnd),
        (b"*1\r\n$3\r\nab\r\n\r", BulkEnd),
    ] {
        assert_eq!(error_of(input), Some(error), "{}", input.escape_ascii());
    }
}

#[test]
fn bombs_are_refused_when_announced() {
    // Two arguments of the most that one may have are more than a request may have.
    let mut input = b"*3\r\n$67108864\r\n".to_vec();
    input.resize(input.len() + (64 << 20), b'x');
    input.extend_from_slice(b"\r\n$67108864\r\n");
    assert_eq!(error_of(&input), Some(ProtocolError::RequestBytes));
    assert_eq!(error_of(&b"*1\r\n".repeat(1000)), Some(ProtocolError::NotBulk(b'*')));
    assert_eq!(error_of(&[b'a'; (64 << 10) + 1]), Some(ProtocolError::InlineLength));
    assert_eq!(error_of(&[b'a'; 64 << 10]), None);
    let limits = RequestLimits::UNAUTHENTICATED;
    assert_eq!(parse(b"*11\r\n", &limits).1.error, Some(ProtocolError::ArrayLength));
    assert_eq!(parse(b"*2\r\n$16385\r\n", &limits).1.error, Some(ProtocolError::BulkLength));
}

#[test]
fn a_long_command_in_pieces_is_looked_at_once() {
    // 100,000 arguments, a byte at a time: looked at anew each time it would not end.
    let command = vec![vec![b'a'; 3]; 10_000];
    let input = encoded(&[command]);
    let mut parser = Parser::new();
    let mut requests = Requests::new();
    for end in 1..input.len() {
        let parsed = parser.parse(&input[..end], &RequestLimits::default(), 9, &mut requests);
        assert_eq!((parsed.consumed, parsed.error), (0, None));
    }
    parser.parse(&input, &RequestLimits::default(), 9, &mut requests);
    assert_eq!((requests.len(), requests.command(0).len()), (1, 10_000));
    assert!(requests.command(0).iter().all(|arg| &input[arg.range()] == b"aaa"));
}

#[test]
fn a_line_in_pieces_of_every_size() {
    let input = b"set a 1\r\n*2\r\n$3\r\nget\r\n$1\r\na\r\nping 'x y'\r\n*1\r\nx";
    let whole = parsed_in_pieces(input, input.len());
    assert_eq!(whole.0.len(), 3);
    assert_eq!(whole.1.as_deref(), Some("expected '$', got 'x'"));
    for piece in 1..input.len() {
        assert_eq!(parsed_in_pieces(input, piece), whole, "pieces of {piece}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_encoded_is_parsed(
        commands in prop::collection::vec(
            prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..5), 0..8),
        piece in 1_usize..50,
    ) {
        let input = encoded(&commands);
        prop_assert_eq!(parsed_in_pieces(&input, piece), (commands, None));
    }

    #[test]
    fn any_bytes_in_any_pieces(
        input in prop::collection::vec(
            prop_oneof![prop::sample::select(&b"*$123450\r\n -ab'\"\\"[..]), any::<u8>()], 0..120),
    ) {
        resp_requests(&input);
        fuzzing::resp_reply(&input);
    }

    #[test]
    fn one_byte_changed(at in 0_usize..60, byte in any::<u8>(), piece in any::<u8>()) {
        let mut input = vec![piece];
        input.extend_from_slice(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n*1\r\n$4\r\nPING\r\nGET k\r\n");
        let at = 1 + at % (input.len() - 1);
        input[at] = byte;
        resp_requests(&input);
    }
}
