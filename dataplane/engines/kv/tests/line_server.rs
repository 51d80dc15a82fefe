//! The line grammar over TCP, reply by reply.

mod common;

use common::{connect, exchange, server, server_of, until_closed};
use pfs_kv::servers::Limits;

/// Sends each line by itself and compares the reply.
fn converse(stream: &mut std::net::TcpStream, lines: &[(&str, &str)]) {
    for (line, reply) in lines {
        exchange(stream, format!("{line}\n").as_bytes(), format!("{reply}\n").as_bytes());
    }
}

fn check_manual(shards: u32) {
    let server = server(Limits::default(), None, shards);
    let mut stream = connect(server.cheetah());
    converse(
        &mut stream,
        &[
            ("INSERT:5 HELLO", "SUCCESS,key=1"),
            ("READ 1", "SUCCESS,size=5,value=HELLO"),
            ("EDIT 1 HELLO", "SUCCESS,key=1_updated"),
            ("edit:3 1 a b", "SUCCESS,key=1_updated"),
            ("READ 1", "SUCCESS,size=3,value=a b"),
            ("DELETE 1", "SUCCESS,key=1_deleted"),
            ("DELETE 1", "ERROR,already_deleted"),
            ("READ 1", "ERROR,key_not_found (deleted)"),
            ("EDIT 1 x", "ERROR,key_not_found (deleted)"),
            ("READ 0", "ERROR,key_not_found (deleted)"),
            ("READ 9999", "ERROR,key_not_found"),
            ("EDIT 9999 x", "ERROR,key_not_found"),
            ("DELETE 9999", "ERROR,key_not_found"),
            ("READ 18446744073709551615", "ERROR,key_not_found"),
            ("INSERT again", "SUCCESS,key=2"),
        ],
    );
    server.stop().expect("it ran");
}

fn check_manual_of_pairs(shards: u32) {
    let server = server(Limits::default(), None, shards);
    let mut stream = connect(server.cheetah());
    converse(
        &mut stream,
        &[
            ("INSERT first", "SUCCESS,key=1"),
            ("INSERT again", "SUCCESS,key=2"),
            ("PAIR_SET ctx:BERLIN 42", "SUCCESS,pair_set"),
            ("PAIR_SET ctx:NAKSOS 77", "SUCCESS,pair_set"),
            ("PAIR_SET ctx: 2", "SUCCESS,pair_set"),
            ("PAIR_SET x6300 7", "SUCCESS,pair_set"),
            ("PAIR_GET ctx:BERLIN", "SUCCESS,key=42"),
            ("PAIR_GET x6374783a4e414b534f53", "SUCCESS,key=77"),
            ("PAIR_GET ctx", "ERROR,not_found"),
            (
                "PAIR_SCAN ctx: 2",
                "SUCCESS,count=2,next_cursor=x6374783a4245524c494e,items=6374783a:2;6374783a4245524c494e:42",
            ),
            (
                "PAIR_SCAN ctx: 2 x6374783a4245524c494e",
                "SUCCESS,count=1,items=6374783a4e414b534f53:77",
            ),
            (
                "PAIR_SCAN ctx: 2 CURSOR x6374783a4245524c494e",
                "SUCCESS,count=1,items=6374783a4e414b534f53:77",
            ),
            ("PAIR_SCAN none", "SUCCESS,count=0"),
            ("PAIR_SCAN * 1", "SUCCESS,count=1,next_cursor=x6300,items=6300:7"),
            ("PAIR_SET_HIDDEN ctx:Z 9", "SUCCESS,pair_set_hidden"),
            ("PAIR_SCAN ctx:Z", "SUCCESS,count=0"),
            ("PAIR_SCAN ctx:Z include_hidden=1", "SUCCESS,count=1,items=6374783a5a:9"),
            ("PAIR_DEL ctx:Z", "SUCCESS,pair_deleted"),
            ("PAIR_DEL ctx:Z", "ERROR,not_found"),
            (
                "PAIR_SUMMARY ctx: 1 1",
                "SUCCESS,command=PAIR_SUMMARY,count=3,total_payload_bytes=5,min_payload_bytes=0,max_payload_bytes=5,min_key=x6374783a,max_key=x6374783a4e414b534f53,max_depth=6,self_terminal=1,branch_count=1,branches=42:1",
            ),
            ("PAIR_PURGE ctx:", "SUCCESS,purged=3"),
            ("PAIR_SCAN * 0", "SUCCESS,count=1,items=6300:7"),
            ("READ 2", "ERROR,key_not_found (deleted)"),
            ("FORK_ASSIGN *", "ERROR,not_available:FORK_ASSIGN"),
            ("CLUSTER_STATUS", "ERROR,not_available:CLUSTER_STATUS"),
            ("PREDICT_QUERY key=a", "ERROR,not_available:PREDICT_QUERY"),
            ("FROB", "ERROR,unknown_command"),
            ("FILE_CHECKPOINT", &format!("SUCCESS,file_checkpoint_flushed={shards}")),
        ],
    );
    server.stop().expect("it ran");
}

#[test]
fn the_manual_on_one_shard() {
    check_manual(1);
    check_manual_of_pairs(1);
}

#[test]
fn the_manual_on_three_shards() {
    check_manual(3);
    check_manual_of_pairs(3);
}

#[test]
fn databases_are_apart_and_their_names_no_paths() {
    let server = server(Limits::default(), None, 1);
    let mut stream = connect(server.cheetah());
    converse(
        &mut stream,
        &[
            ("PAIR_SET a 1", "SUCCESS,pair_set"),
            ("DATABASE other pair_bytes=1", "SUCCESS,database_changed_to_other"),
            ("PAIR_GET a", "ERROR,not_found"),
            ("PAIR_SET a 2", "SUCCESS,pair_set"),
            ("INSERT x", "SUCCESS,key=1"),
            ("RESET_DB", "SUCCESS,database_reset_to_other"),
            ("PAIR_GET a", "ERROR,not_found"),
            ("READ 1", "ERROR,key_not_found (deleted)"),
            ("INSERT x", "SUCCESS,key=2"),
            ("DATABASE default", "SUCCESS,database_changed_to_default"),
            ("PAIR_GET a", "SUCCESS,key=1"),
        ],
    );
    for name in ["../evil", "..", "/etc", "a/b", "-x", "a\0", &"a".repeat(65)] {
        for verb in ["DATABASE", "RESET_DB"] {
            let mut other = connect(server.cheetah());
            let begin =
                if verb == "DATABASE" { "ERROR,cannot_load_db:" } else { "ERROR,cannot_reset_db:" };
            exchange(&mut other, format!("{verb} {name}\n").as_bytes(), begin.as_bytes());
        }
    }
    server.stop().expect("it ran");
}

/// A payload of the layout of counts.
fn counts(items: &[(u32, u32)]) -> Vec<u8> {
    let mut payload = vec![1, 2];
    payload.extend_from_slice(&(items.len() as u16).to_be_bytes());
    for (token, count) in items {
        payload.extend_from_slice(&token.to_be_bytes());
        payload.extend_from_slice(&count.to_be_bytes());
    }
    payload
}

#[test]
fn reductions_reduce() {
    let server = server(Limits::default(), None, 1);
    let mut stream = connect(server.cheetah());
    // The grammar carries no LF, and no blank at the end: the numbers have none.
    for (number, items) in [[(7, 11), (8, 33)], [(7, 5), (9, 14)]].into_iter().enumerate() {
        let payload = counts(&items);
        let line = [format!("INSERT:{} ", payload.len()).as_bytes(), &payload, b"\n"].concat();
        exchange(&mut stream, &line, format!("SUCCESS,key={}\n", number + 1).as_bytes());
    }
    converse(
        &mut stream,
        &[
            ("PAIR_SET a 1", "SUCCESS,pair_set"),
            ("PAIR_SET b 2", "SUCCESS,pair_set"),
            (
                "PAIR_REDUCE counts * rows=0 top=2",
                "SUCCESS,reducer=counts,count=2,payloads=2,refused=0,tokens=3,top=8:1:33:33:33;7:2:16:5:11",
            ),
            (
                "PAIR_REDUCE count b",
                "SUCCESS,reducer=count,count=1,payloads=1,refused=0,tokens=2,top=9:1:14:14:14;7:1:5:5:5,items=62:2:AQIAAgAAAAcAAAAFAAAACQAAAA4=",
            ),
        ],
    );
    server.stop().expect("it ran");
}

#[test]
fn raw_rows_and_jobs() {
    let server = server(Limits::default(), None, 2);
    let mut stream = connect(server.cheetah());
    converse(
        &mut stream,
        &[
            ("INSERT f", "SUCCESS,key=1"),
            ("INSERT foobar", "SUCCESS,key=2"),
            ("PAIR_SET a 1", "SUCCESS,pair_set"),
            ("PAIR_SET b 2", "SUCCESS,pair_set"),
            ("PAIR_SET c 99", "SUCCESS,pair_set"),
            (
                "PAIR_REDUCE raw * 2",
                "SUCCESS,reducer=raw,count=2,next_cursor=x62,items=61:1:Zg==;62:2:Zm9vYmFy",
            ),
            ("PAIR_REDUCE raw c", "SUCCESS,reducer=raw,count=1,items=63:99:"),
            (
                "PAIR_REDUCE counts * rows=0",
                "SUCCESS,reducer=counts,count=3,payloads=0,refused=3,tokens=0",
            ),
            ("PAIR_REDUCE_ASYNC raw *", "SUCCESS,reducer=raw,job=reduce_1,state=queued"),
            ("PAIR_REDUCE_STATUS reduce_2", "ERROR,reduce_job_not_found"),
            ("PAIR_REDUCE_STATUS x", "ERROR,reduce_job_not_found"),
            ("PAIR_REDUCE_CANCEL reduce_1", "SUCCESS,job=reduce_1,state=cancelled"),
            ("PAIR_REDUCE_FETCH reduce_1", "ERROR,reduce_job_not_found"),
        ],
    );
    converse(
        &mut stream,
        &[("PAIR_REDUCE_ASYNC raw * 0", "SUCCESS,reducer=raw,job=reduce_2,state=queued")],
    );
    common::wait_until("the job completes", || {
        let status = b"SUCCESS,job=reduce_2,state=";
        let mut other = connect(server.cheetah());
        exchange(&mut other, b"PAIR_REDUCE_STATUS reduce_2\n", status);
        let mut rest = [0; 64];
        let count = std::io::Read::read(&mut other, &mut rest).expect("the rest");
        rest[..count].starts_with(b"completed,progress=1.00\n")
    });
    converse(
        &mut stream,
        &[
            (
                "PAIR_REDUCE_FETCH reduce_2",
                "SUCCESS,reducer=raw,count=3,items=61:1:Zg==;62:2:Zm9vYmFy;63:99:",
            ),
            ("PAIR_REDUCE_FETCH reduce_2", "ERROR,reduce_job_not_found"),
        ],
    );
    server.stop().expect("it ran");
}

#[test]
fn pages_meet_every_pair_in_order() {
    check_pages(3, 1);
    check_pages(5, 3);
}

fn check_pages(shards: u32, loops: usize) {
    let server = server_of(shards, loops);
    let mut stream = connect(server.cheetah());
    let mut request = Vec::new();
    for number in 0..600 {
        request.extend_from_slice(format!("PAIR_SET k{number:04} {number}\r\n\n").as_bytes());
    }
    exchange(&mut stream, &request, &b"SUCCESS,pair_set\n".repeat(600));
    let mut cursor = String::from("*");
    let mut found = Vec::new();
    loop {
        let mut reply = Vec::new();
        std::io::Write::write_all(&mut stream, format!("PAIR_SCAN k 7 {cursor}\n").as_bytes())
            .expect("it reads");
        while reply.last() != Some(&b'\n') {
            let mut piece = [0; 4096];
            let count = std::io::Read::read(&mut stream, &mut piece).expect("it replies");
            reply.extend_from_slice(&piece[..count]);
        }
        let reply = String::from_utf8(reply).expect("text");
        let items = reply.trim_end().split_once("items=").expect("items").1;
        found.extend(items.split(';').map(|row| row.split_once(':').expect("a row").1.to_owned()));
        match reply.split(',').find_map(|field| field.strip_prefix("next_cursor=")) {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(found, (0..600).map(|number| number.to_string()).collect::<Vec<_>>());
    server.stop().expect("it ran");
}

#[test]
fn bad_lines() {
    let limits = Limits { line_bytes: 1000, ..Limits::default() };
    let server = server(limits, None, 1);
    let address = server.cheetah();
    assert_eq!(until_closed(address, &[b'A'; 5000]), b"ERROR,line_too_long (limit 1000 bytes)\n");
    let mut stream = connect(address);
    // A half line is not a command, blank ones are none.
    exchange(&mut stream, b"\n\r\n  \nPAIR_SET a 1\nPAIR_SET b", b"SUCCESS,pair_set\n");
    stream.shutdown(std::net::Shutdown::Write).expect("a half-closed socket");
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut rest).expect("the end");
    assert_eq!(rest, b"");
    let mut stream = connect(address);
    exchange(
        &mut stream,
        b"PAIR_GET b\nPAIR_SET \x00\xff 1\nPAIR_GET x00ff\n",
        b"ERROR,not_found\nSUCCESS,pair_set\nSUCCESS,key=1\n",
    );
    let counters = server.stop().expect("it ran");
    assert_eq!(counters.protocol_errors, 1);
}

#[test]
fn passwords() {
    let server = server(Limits::default(), Some("s3cret"), 1);
    let mut stream = connect(server.cheetah());
    converse(
        &mut stream,
        &[
            ("READ 1", "ERROR,auth_required"),
            ("FROB", "ERROR,auth_required"),
            ("AUTH wrong", "ERROR,wrong_password"),
            ("AUTH s3cret", "SUCCESS,authenticated"),
            ("READ 1", "ERROR,key_not_found"),
        ],
    );
    let guesses = until_closed(server.cheetah(), &b"AUTH x\n".repeat(50));
    assert_eq!(guesses, b"ERROR,wrong_password\n".repeat(5));
    let long = until_closed(server.cheetah(), &[b'x'; 10_000]);
    assert_eq!(long, b"ERROR,line_too_long (limit 4096 bytes)\n");
    server.stop().expect("it ran");
}

#[test]
fn administration() {
    // So few that no host allows fewer.
    let server = server(Limits { connections: 20, ..Limits::default() }, None, 1);
    let mut stream = connect(server.cheetah());
    exchange(&mut stream, b"LOG_FLUSH\n", b"SUCCESS,count=1\n[0] serving RESP on 127.0.0.1:");
    let mut rest = [0; 100];
    std::io::Read::read(&mut stream, &mut rest).expect("the rest");
    converse(
        &mut stream,
        &[
            ("LOG_FLUSH 5", "SUCCESS,count=0"),
            (
                "RECYCLE 144",
                "SUCCESS,command=RECYCLE,size=144,tables=0,free_slots=0,reclaimable_bytes=0",
            ),
        ],
    );
    exchange(&mut stream, b"SYSTEM_STATS\n", b"SUCCESS,command=SYSTEM_STATS,timestamp=20");
    server.stop().expect("it ran");
}
