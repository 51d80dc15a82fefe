//! Lines, whole and broken.

use proptest::prelude::*;

use super::fuzzing::cheetah_lines;
use super::*;

fn command(line: &str) -> Command<'_> {
    parse(line.as_bytes()).unwrap().unwrap()
}

fn error(line: &[u8]) -> String {
    parse(line).unwrap_err().to_string()
}

fn page<'a>(prefix: &'a [u8], limit: Limit, cursor: Option<&'a [u8]>) -> Page<'a> {
    Page { prefix: Operand::Raw(prefix), limit, cursor: cursor.map(Operand::Raw), hidden: false }
}

#[test]
fn values() {
    assert_eq!(command("INSERT:5 HELLO"), Command::Insert { payload: b"HELLO" });
    assert_eq!(command("insert HELLO, you\r"), Command::Insert { payload: b"HELLO, you" });
    assert_eq!(command(" INSERT \t x00 "), Command::Insert { payload: b"x00" });
    assert_eq!(command("READ 1"), Command::Read { abs: 1 });
    assert_eq!(command("EDIT 1 HELLO"), Command::Edit { abs: 1, payload: b"HELLO" });
    assert_eq!(command("Edit:3 7 a b"), Command::Edit { abs: 7, payload: b"a b" });
    assert_eq!(command("DELETE 18446744073709551615"), Command::Delete { abs: u64::MAX });
}

#[test]
fn a_declared_size_keeps_blanks_at_the_ends() {
    assert_eq!(command("INSERT:7   a b  "), Command::Insert { payload: b"  a b  " });
    assert_eq!(command("INSERT:3   a b  \r"), Command::Insert { payload: b"a b" });
    assert_eq!(command("EDIT:3 1 a  "), Command::Edit { abs: 1, payload: b"a  " });
    assert_eq!(error(b"INSERT:4   a b  "), "value_size_mismatch (expected 4, got 3)");
}

#[test]
fn pairs() {
    let hex = Operand::parse(b"x00fFa0").unwrap();
    assert_eq!(hex.bytes().as_ref(), b"\x00\xff\xa0");
    assert_eq!(
        command("PAIR_SET x00fFa0 12"),
        Command::PairSet { key: hex, abs: 12, hidden: false }
    );
    let key = Operand::Raw(b"ctx:BERLIN");
    assert_eq!(
        command("pair_set_hidden ctx:BERLIN 281474976710655"),
        Command::PairSet { key, abs: (1 << 48) - 1, hidden: true }
    );
    assert_eq!(command("PAIR_GET x"), Command::PairGet { key: Operand::Raw(b"x") });
    assert_eq!(command("PAIR_DEL a b"), Command::PairDel { key: Operand::Raw(b"a b") });
}

#[test]
fn pages() {
    let default = Limit::Rows(256);
    assert_eq!(command("PAIR_SCAN ctx:"), Command::PairScan(page(b"ctx:", default, None)));
    assert_eq!(command("PAIR_SCAN * 0"), Command::PairScan(page(b"", Limit::All, None)));
    assert_eq!(command("PAIR_SCAN * -7 *"), Command::PairScan(page(b"", Limit::All, None)));
    assert_eq!(
        command("PAIR_SCAN a 9223372036854775807"),
        Command::PairScan(page(b"a", Limit::Rows(4096), None))
    );
    let second = Command::PairScan(page(b"a", Limit::Rows(2), Some(b"ab")));
    assert_eq!(command("PAIR_SCAN a 2 ab"), second);
    assert_eq!(command("PAIR_SCAN a cursor=ab limit=2"), second);
    assert_eq!(command("PAIR_SCAN a 2 CURSOR ab"), second);
    assert_eq!(command("PAIR_SCAN a CURSOR ab limit=2"), second);
    let Command::PairScan(hidden) = command("PAIR_SCAN a include_hidden=1") else { panic!() };
    assert!(hidden.hidden);
}

#[test]
fn reductions_and_jobs() {
    for (name, mode) in [
        ("raw", Mode::Raw),
        ("count", Mode::Counts),
        ("COUNTS", Mode::Counts),
        ("probabilities", Mode::Probabilities),
        ("probs", Mode::Probabilities),
        ("backoffs", Mode::Probabilities),
        ("continuation", Mode::Continuations),
        ("continuations", Mode::Continuations),
    ] {
        let line = format!("PAIR_REDUCE {name} ctx: 1 rows=0 top=5");
        let page = page(b"ctx:", Limit::Rows(1), None);
        let expected = Command::PairReduce {
            mode,
            name: name.as_bytes(),
            page,
            rows: false,
            top: 5,
            job: false,
        };
        assert_eq!(command(&line), expected);
    }
    let Command::PairReduce { job: true, rows: true, top: 32, .. } =
        command("PAIR_REDUCE_ASYNC raw *")
    else {
        panic!();
    };
    assert_eq!(command("PAIR_REDUCE_STATUS reduce_1"), Command::ReduceStatus { job: b"reduce_1" });
    assert_eq!(command("PAIR_REDUCE_FETCH reduce_1"), Command::ReduceFetch { job: b"reduce_1" });
    assert_eq!(command("PAIR_REDUCE_CANCEL reduce_1"), Command::ReduceCancel { job: b"reduce_1" });
}

#[test]
fn summaries_and_purges() {
    let summary =
        |depth, branches| Command::PairSummary { prefix: Operand::Raw(b"ctx:"), depth, branches };
    assert_eq!(command("PAIR_SUMMARY ctx:"), summary(Some(1), Some(32)));
    assert_eq!(command("PAIR_SUMMARY ctx: -1 0"), summary(None, None));
    assert_eq!(command("PAIR_SUMMARY ctx: 2 5000"), summary(Some(2), Some(1024)));
    let purge = |page| Command::PairPurge { prefix: Operand::EMPTY, page };
    assert_eq!(command("PAIR_PURGE *"), purge(4096));
    assert_eq!(command("PAIR_PURGE * 10"), purge(10));
}

#[test]
fn administration() {
    assert_eq!(
        command("DATABASE ctx pair_bytes=1 payload_cache_entries=0"),
        Command::Database { name: "ctx" }
    );
    // What a name may be is the store's to say.
    assert_eq!(command("DATABASE ../evil"), Command::Database { name: "../evil" });
    assert_eq!(command("RESET_DB"), Command::ResetDb { name: None });
    assert_eq!(command("RESET_DB pair_bytes=2"), Command::ResetDb { name: None });
    assert_eq!(command("RESET_DB a pair_bytes=2"), Command::ResetDb { name: Some("a") });
    assert_eq!(command("SYSTEM_STATS"), Command::SystemStats);
    assert_eq!(command("LOG_FLUSH"), Command::LogFlush { limit: None });
    assert_eq!(command("LOG_FLUSH 7"), Command::LogFlush { limit: Some(7) });
    assert_eq!(command("FILE_CHECKPOINT IDLE=5s DROP_CACHE"), Command::FileCheckpoint);
    assert_eq!(command("RECYCLE 144"), Command::Recycle { size: 144 });
    assert_eq!(command("AUTH a b"), Command::Auth { password: b"a b" });
    assert_eq!(parse(b" \t\r"), Ok(None));
    assert_eq!(parse(b""), Ok(None));
}

#[test]
fn what_is_no_command() {
    for (line, text) in [
        (&b"FROB 1"[..], "unknown_command"),
        (b"INSERTX a", "unknown_command"),
        (b"POST / HTTP/1.1", "this is no HTTP server"),
        (b"Host: 127.0.0.1:4455", "this is no HTTP server"),
        (b"READ:4 1", "unknown_command"),
        (b"\x00\xff", "unknown_command"),
        (b"PREDICT_SET key=a", "not_available:PREDICT_SET"),
        (b"predict_inherit_batch", "not_available:PREDICT_INHERIT_BATCH"),
        (b"CLUSTER_STATUS", "not_available:CLUSTER_STATUS"),
        (b"FORK_ASSIGN *", "not_available:FORK_ASSIGN"),
        (b"INSERT", "missing_value"),
        (b"INSERT:5", "missing_value"),
        (b"INSERT: a", "invalid_size_in_command"),
        (b"INSERT:-1 a", "invalid_size_in_command"),
        (b"INSERT:+1 a", "invalid_size_in_command"),
        (b"INSERT:18446744073709551616 a", "invalid_size_in_command"),
        (
            b"INSERT:18446744073709551615 a",
            "value_size_mismatch (expected 18446744073709551615, got 1)",
        ),
        (b"INSERT:5 HELL", "value_size_mismatch (expected 5, got 4)"),
        (b"READ", "missing_key"),
        (b"READ 1 2", "invalid_key_format"),
        (b"READ -1", "invalid_key_format"),
        (b"READ 18446744073709551616", "invalid_key_format"),
        (b"READ 1\x00", "invalid_key_format"),
        (b"EDIT", "missing_arguments"),
        (b"EDIT 1", "edit_requires_key_and_value"),
        (b"EDIT x a", "invalid_key_format"),
        (b"EDIT:2 1 a", "value_size_mismatch (expected 2, got 1)"),
        (b"EDIT:z 1 a", "invalid_size_in_command"),
        (b"DELETE", "missing_key"),
    ] {
        assert_eq!(error(line), text, "{}", line.escape_ascii());
    }
}

#[test]
fn what_is_no_command_about_pairs() {
    for (line, text) in [
        (&b"PAIR_SET"[..], "pair_set_requires_value_and_key"),
        (b"PAIR_SET a", "pair_set_requires_value_and_key"),
        (b"PAIR_SET a b", "invalid_absolute_key_format"),
        (b"PAIR_SET a 281474976710656", "invalid_absolute_key_format"),
        (b"PAIR_SET a 1 2", "invalid_absolute_key_format"),
        (b"PAIR_SET xyz 1", "invalid_hex_value:encoding/hex: invalid byte: U+0079 'y'"),
        (b"PAIR_SET xab0 1", "invalid_hex_value:encoding/hex: odd length hex string"),
        (b"PAIR_GET x0\x00", "invalid_hex_value:encoding/hex: invalid byte: U+0000"),
        (b"PAIR_GET x0\xe9", "invalid_hex_value:encoding/hex: invalid byte: U+00E9 '\u{e9}'"),
        (b"PAIR_GET", "pair_value_cannot_be_empty"),
        (b"PAIR_DEL ", "pair_value_cannot_be_empty"),
        (b"PAIR_SCAN", "pair_scan_requires_prefix"),
        (b"PAIR_SCAN a b", "invalid_limit"),
        (b"PAIR_SCAN a 9223372036854775808", "invalid_limit"),
        (b"PAIR_SCAN a 1 xq", "invalid_hex_value:encoding/hex: invalid byte: U+0071 'q'"),
        (b"PAIR_SCAN a 1 b c", "unknown_argument c"),
        (b"PAIR_SCAN a include_hidden=2", "unknown_argument include_hidden=2"),
        (b"PAIR_REDUCE", "pair_reduce_requires_args"),
        (b"PAIR_REDUCE counts", "pair_reduce_requires_mode_and_prefix"),
        (b"PAIR_REDUCE sums *", "unknown_reducer_mode"),
        (b"PAIR_REDUCE_STATUS", "missing_job_id"),
        (b"PAIR_SUMMARY", "pair_summary_requires_prefix"),
        (b"PAIR_SUMMARY a -2", "invalid_depth"),
        (b"PAIR_SUMMARY a 99999999999", "invalid_depth"),
        (b"PAIR_SUMMARY a 1 -1", "invalid_branch_limit"),
        (b"PAIR_SUMMARY a 1 1 1", "unknown_argument 1"),
        (b"PAIR_PURGE", "pair_purge_requires_prefix"),
        (b"PAIR_PURGE a b", "invalid_limit"),
        (b"DATABASE", "missing_database_name"),
        (b"DATABASE \xff", "invalid_database_name"),
        (b"DATABASE a pair_bytes=3", "pair_bytes must be 1 or 2"),
        (b"DATABASE a b=3", "unknown override b"),
        (b"DATABASE a payload_cache_mb=x", "invalid override payload_cache_mb=x"),
        (b"LOG_FLUSH x", "invalid_limit"),
        (b"FILE_CHECKPOINT NOW", "unknown_argument NOW"),
        (b"RECYCLE", "missing_size"),
        (b"RECYCLE 0", "invalid_size"),
        (b"AUTH", "missing_password"),
    ] {
        assert_eq!(error(line), text, "{}", line.escape_ascii());
    }
}

#[test]
fn a_verb_of_any_length() {
    for len in 1..100 {
        let line = vec![b'A'; len];
        assert_eq!(error(&line), "unknown_command");
    }
    assert!(error(&[&b"PREDICT_"[..], &[b'Z'; 500]].concat()).len() < 100);
}

#[test]
fn lines_and_their_limit() {
    let mut lines = Lines::new();
    assert_eq!(lines.next(b"abc", 4), Ok(None));
    assert_eq!(lines.next(b"abcd\nxy", 4), Ok(Some((0..4, 5))));
    assert_eq!(lines.next(b"xy", 4), Ok(None));
    assert_eq!(lines.next(b"xyzuv", 4), Err(LineTooLong { limit: 4 }));
    assert_eq!(Lines::new().next(b"abcde\n", 4), Err(LineTooLong { limit: 4 }));
    assert_eq!(Lines::new().next(b"\n\n", 4), Ok(Some((0..0, 1))));
}

#[test]
fn commands_cut_at_each_byte_do_not_panic() {
    let lines: [&[u8]; 4] = [
        b"PAIR_REDUCE_ASYNC probabilities x00ff10 limit=10 cursor=x00ff include_hidden=1 rows=0",
        b"INSERT:11   hello world  \r",
        b"PAIR_SUMMARY x6162 -1 1024",
        b"DATABASE name pair_bytes=1 pair_index_bytes=2 payload_cache_mb=64",
    ];
    for line in lines {
        for from in 0..line.len() {
            for to in from..=line.len() {
                cheetah_lines(&[&[3], &line[from..to], b"\n"].concat());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes(
        verb in prop::sample::select(&[
            "INSERT", "INSERT:3", "EDIT", "EDIT:2", "READ", "PAIR_SET", "PAIR_GET", "PAIR_SCAN",
            "PAIR_REDUCE counts", "PAIR_SUMMARY", "DATABASE", "LOG_FLUSH", "",
        ][..]),
        rest in prop::collection::vec(
            prop_oneof![prop::sample::select(&b" x0189afz*=-\n"[..]), any::<u8>()], 0..60),
        piece in any::<u8>(),
    ) {
        cheetah_lines(&[&[piece], verb.as_bytes(), b" ", &rest].concat());
    }

    #[test]
    fn hex_written_is_hex_read(key in prop::collection::vec(any::<u8>(), 1..70)) {
        let mut out = Vec::new();
        ReplyLine::success(&mut out).hex("next_cursor", &key);
        let text = &out[b"SUCCESS,next_cursor=".len()..out.len() - 1];
        prop_assert_eq!(Operand::parse(text).unwrap().bytes(), key);
    }
}
