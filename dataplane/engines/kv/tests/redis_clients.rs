//! Clients of Redis, unmodified: the `redis` crate, redis-cli, redis-benchmark, redis-py.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use common::{connect, exchange, serve, server, server_beside, server_of};
use pfs_kv::servers::{Limits, Server};
use pfs_kv::{Store, StoreSettings};
use redis::{Commands, RedisResult};

fn client(server: &Server, password: &str) -> redis::Connection {
    let address = server.resp().expect("it listens");
    let at = if password.is_empty() { String::new() } else { format!(":{password}@") };
    let client = redis::Client::open(format!("redis://{at}{address}/0")).expect("an address");
    client.get_connection().expect("it accepts")
}

fn check_commands(server: Server) {
    let mut redis = client(&server, "");
    let () = redis.set("k", b"v\0\r\n").expect("set");
    assert_eq!(redis.get::<_, Vec<u8>>("k"), Ok(b"v\0\r\n".to_vec()));
    assert_eq!(redis.get::<_, Option<String>>("none"), Ok(None));
    assert_eq!(redis.set_nx("k", 1), Ok(false));
    assert_eq!(redis.incr("n", 41), Ok(41));
    assert_eq!(redis.incr("n", 1), Ok(42));
    assert_eq!(redis.decr("n", 2), Ok(40));
    assert!(redis.incr::<_, _, i64>("k", 1).is_err());
    let () = redis.mset(&[("a", 1), ("b", 2)]).expect("mset");
    assert_eq!(redis.mget(&["a", "none", "b"]), Ok((Some(1), None::<i64>, Some(2))));
    assert_eq!(redis.exists(&["a", "b", "none"]), Ok(2));
    assert_eq!(redis.del(&["a", "none"]), Ok(1));
    assert_eq!(redis.strlen("k"), Ok(4));
    assert_eq!(redis.getset("b", 3), Ok(2));
    assert_eq!(redis.get_del("b"), Ok(3));
    assert_eq!(redis.exists("b"), Ok(false));
    let kind: String = redis::cmd("TYPE").arg("k").query(&mut redis).expect("type");
    assert_eq!(kind, "string");
    let size: u64 = redis::cmd("DBSIZE").query(&mut redis).expect("dbsize");
    assert_eq!(size, 2);
    server.stop().expect("it ran");
}

#[test]
fn commands_on_one_shard() {
    check_commands(server_of(1, 1));
}

#[test]
fn commands_on_five_shards() {
    check_commands(server_of(5, 1));
}

#[test]
fn commands_on_several_loops() {
    check_commands(server_of(2, 2));
    check_commands(server_of(5, 3));
}

#[test]
fn commands_on_shards_that_are_lent() {
    check_commands(server_beside(1));
    check_commands(server_beside(3));
}

#[test]
fn expiry_is_real() {
    let server = server(Limits::default(), None, 1);
    let mut redis = client(&server, "");
    let () = redis.set_ex("e", "v", 100).expect("setex");
    let ttl: i64 = redis.ttl("e").expect("ttl");
    assert!((99..=100).contains(&ttl));
    assert_eq!(redis.persist("e"), Ok(true));
    assert_eq!(redis.ttl("e"), Ok(-1));
    assert_eq!(redis.ttl("none"), Ok(-2));
    assert_eq!(redis.expire("e", -1), Ok(true));
    assert_eq!(redis.exists("e"), Ok(false));
    let () = redis.pset_ex("p", "v", 30).expect("psetex");
    let begin = std::time::Instant::now();
    common::wait_until("it expires", || redis.exists("p") == Ok(false));
    assert!(begin.elapsed().as_millis() >= 20);
    let size = |redis: &mut redis::Connection| redis::cmd("DBSIZE").query::<u64>(redis);
    common::wait_until("it is removed", || size(&mut redis) == Ok(0));
    let () = redis.set("x", 1).expect("set");
    let gt: i64 = redis::cmd("EXPIRE").arg(&["x", "100", "GT"]).query(&mut redis).expect("expire");
    let lt: i64 = redis::cmd("EXPIRE").arg(&["x", "100", "LT"]).query(&mut redis).expect("expire");
    assert_eq!((gt, lt), (0, 1));
    server.stop().expect("it ran");
}

#[test]
fn scans_meet_every_key_once() {
    check_scans(3, 1);
    check_scans(4, 3);
}

fn check_scans(shards: u32, loops: usize) {
    let server = server_of(shards, loops);
    let mut redis = client(&server, "");
    let mut expected = BTreeSet::new();
    for number in 0..1000 {
        let key = format!("{}:{number}", if number % 3 == 0 { "a" } else { "b" });
        let () = redis.set(&key, number).expect("set");
        expected.insert(key);
    }
    let all: Vec<String> = redis.scan().expect("scan").map(|key| key.expect("a key")).collect();
    assert_eq!(all.len(), 1000);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), expected);
    let some: Vec<String> =
        redis.scan_match("a:*9").expect("scan").map(|key| key.expect("a key")).collect();
    let ending = expected.iter().filter(|key| key.starts_with("a:") && key.ends_with('9'));
    assert_eq!(some.len(), ending.count());
    let flushed: RedisResult<String> = redis::cmd("FLUSHDB").query(&mut redis);
    assert_eq!(flushed.as_deref(), Ok("OK"));
    assert_eq!(redis.scan::<String>().expect("scan").count(), 0);
    server.stop().expect("it ran");
}

#[test]
fn pipelines_and_transactions() {
    check_pipelines(2, 1);
    check_pipelines(2, 2);
}

fn check_pipelines(shards: u32, loops: usize) {
    let server = server_of(shards, loops);
    let mut redis = client(&server, "");
    let mut pipe = redis::pipe();
    for number in 0..500 {
        pipe.set(format!("k{number}"), number).ignore();
        pipe.get(format!("k{}", number / 2));
    }
    let got: Vec<i64> = pipe.query(&mut redis).expect("a pipeline");
    assert_eq!(got, (0..500).map(|number| number / 2).collect::<Vec<i64>>());
    let mut pipe = redis::pipe();
    pipe.atomic().incr("n", 2).incr("n", 3).get("n");
    assert_eq!(pipe.query::<(i64, i64, i64)>(&mut redis), Ok((2, 5, 5)));
    let mut raw = connect(server.resp());
    exchange(&mut raw, b"MULTI\r\nFOO\r\nEXEC\r\n", b"+OK\r\n-ERR unknown command 'FOO', with args beginning with: \r\n-EXECABORT Transaction discarded because of previous errors.\r\n");
    exchange(
        &mut raw,
        b"MULTI\r\nSET a b\r\nDISCARD\r\nGET a\r\nEXEC\r\n",
        b"+OK\r\n+QUEUED\r\n+OK\r\n$-1\r\n-ERR EXEC without MULTI\r\n",
    );
    server.stop().expect("it ran");
}

#[test]
fn databases_are_apart() {
    let server = server(Limits::default(), None, 1);
    let mut raw = connect(server.resp());
    exchange(
        &mut raw,
        b"SET a 0\r\nSELECT 1\r\nGET a\r\nSET a 1\r\nSELECT 0\r\nGET a\r\n",
        b"+OK\r\n+OK\r\n$-1\r\n+OK\r\n+OK\r\n$1\r\n0\r\n",
    );
    exchange(
        &mut raw,
        b"SELECT 16\r\nSELECT x\r\n",
        b"-ERR DB index is out of range\r\n-ERR value is not an integer or out of range\r\n",
    );
    exchange(&mut raw, b"FLUSHALL\r\nSELECT 1\r\nDBSIZE\r\n", b"+OK\r\n+OK\r\n:0\r\n");
    server.stop().expect("it ran");
}

#[test]
fn passwords() {
    let server = server(Limits::default(), Some("s3cret"), 1);
    let mut redis = client(&server, "s3cret");
    let () = redis.set("a", 1).expect("set");
    let mut raw = connect(server.resp());
    exchange(
        &mut raw,
        b"GET a\r\nFOO\r\n",
        b"-NOAUTH Authentication required.\r\n-NOAUTH Authentication required.\r\n",
    );
    let wrong = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    exchange(&mut raw, b"AUTH s3cre\r\n", wrong);
    exchange(&mut raw, b"AUTH admin s3cret\r\n", wrong);
    exchange(&mut raw, b"HELLO 3 AUTH default s3cret1\r\n", wrong);
    exchange(&mut raw, b"AUTH default s3cret\r\nGET a\r\n", b"+OK\r\n$1\r\n1\r\n");
    let guesses = common::until_closed(server.resp(), &b"AUTH x\r\n".repeat(50));
    assert_eq!(guesses, wrong.repeat(5));
    assert_eq!(server.stop().expect("it ran").auth_failures, 8);
}

#[test]
fn resp3_replies() {
    let server = server(Limits::default(), None, 1);
    let mut raw = connect(server.resp());
    exchange(&mut raw, b"HELLO 3\r\n", b"%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n");
    let mut rest = [0; 1024];
    assert!(std::io::Read::read(&mut raw, &mut rest).expect("the rest") > 50);
    exchange(&mut raw, b"GET none\r\nCONFIG GET save\r\n", b"_\r\n%1\r\n$4\r\nsave\r\n$0\r\n\r\n");
    exchange(
        &mut raw,
        b"HELLO 4\r\nRESET\r\nGET none\r\n",
        b"-NOPROTO unsupported protocol version\r\n+RESET\r\n$-1\r\n",
    );
    server.stop().expect("it ran");
}

#[test]
fn any_commands_equal_a_model() {
    let cases = std::env::var("PFS_TEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    for (shards, loops) in [(1, 1), (3, 1), (2, 2), (5, 3)] {
        let server = server_of(shards, loops);
        let mut redis = client(&server, "");
        let mut model: BTreeMap<String, String> = BTreeMap::new();
        for case in 0..cases {
            let (mut pipe, mut expected) = (redis::pipe(), Vec::new());
            for _ in 0..next(200) {
                let key = format!("k{}", next(60));
                match next(4) {
                    0 => {
                        let value = "v".repeat(next(300) as usize);
                        pipe.set(&key, &value);
                        model.insert(key, value);
                        expected.push(redis::Value::Okay);
                    }
                    1 => {
                        pipe.del(&key);
                        let had = model.remove(&key).is_some();
                        expected.push(redis::Value::Int(had.into()));
                    }
                    2 => {
                        pipe.exists(&key);
                        expected.push(redis::Value::Int(model.contains_key(&key).into()));
                    }
                    _ => {
                        pipe.get(&key);
                        let value = model.get(&key).map(|value| value.clone().into_bytes());
                        expected.push(value.map_or(redis::Value::Nil, redis::Value::BulkString));
                    }
                }
            }
            if !expected.is_empty() {
                let got: Vec<redis::Value> = pipe.query(&mut redis).expect("a pipeline");
                assert_eq!(got, expected, "case {case}");
            }
        }
        let mut keys: Vec<String> =
            redis.scan().expect("scan").map(|key| key.expect("a key")).collect();
        keys.sort();
        assert_eq!(keys, model.into_keys().collect::<Vec<_>>());
        server.stop().expect("it ran");
    }
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    check_restart(1);
    check_restart(2);
}

fn check_restart(loops: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = StoreSettings {
        shards: 2,
        memory_bytes: 64 << 20,
        folder: Some(folder.path().into()),
        ..StoreSettings::default()
    };
    let open = || serve(Store::open(&settings).expect("a store"), Limits::default(), None, loops);
    let server = open();
    let mut redis = client(&server, "");
    let mut pipe = redis::pipe();
    (0..300).for_each(|number| {
        pipe.set(format!("k{number}"), number).ignore();
    });
    pipe.set_ex("expires", 1, 1000).ignore();
    let () = pipe.query(&mut redis).expect("a pipeline");
    server.stop().expect("it ran");
    let server = open();
    let mut redis = client(&server, "");
    for number in 0..300 {
        assert_eq!(redis.get(format!("k{number}")), Ok(number));
    }
    let ttl: i64 = redis.ttl("expires").expect("ttl");
    assert!(ttl > 900 && ttl <= 1000, "{ttl}");
    server.stop().expect("it ran");
}

/// Runs `program` against the server; `None`, and says so, when it is not installed.
fn run(server: &Server, program: &str, args: &[&str]) -> Option<String> {
    let port = server.resp().expect("it listens").port().to_string();
    let args = args.iter().map(|arg| if *arg == "PORT" { port.as_str() } else { *arg });
    match Command::new(program).args(args).output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{program}: {text} {error}");
            Some(text)
        }
        Err(error) => {
            eprintln!("not run: {program}: {error}");
            None
        }
    }
}

#[test]
fn redis_cli() {
    let server = server(Limits::default(), None, 1);
    let cli = |args: &[&str]| run(&server, "redis-cli", &[&["-p", "PORT"], args].concat());
    if cli(&["set", "k", "a b"]).is_none() {
        return;
    }
    assert_eq!(cli(&["get", "k"]).as_deref(), Some("a b\n"));
    assert_eq!(cli(&["-3", "get", "none"]).as_deref(), Some("\n"));
    assert_eq!(cli(&["--scan", "--pattern", "k*"]).as_deref(), Some("k\n"));
    assert_eq!(cli(&["-n", "3", "dbsize"]).as_deref(), Some("0\n"));
    assert!(cli(&["info"]).is_some_and(|info| info.contains("db0:keys=1")));
    assert!(cli(&["command"]).is_some_and(|all| all.contains("mset")));
    server.stop().expect("it ran");
}

#[test]
fn redis_benchmark() {
    let server = server(Limits::default(), None, 1);
    let args = [
        "-p",
        "PORT",
        "-P",
        "16",
        "-n",
        "20000",
        "-r",
        "1000",
        "-t",
        "set,get,incr,mset,ping",
        "--csv",
    ];
    if let Some(text) = run(&server, "redis-benchmark", &args) {
        assert!(text.contains("\"SET\"") && !text.to_lowercase().contains("error"), "{text}");
        let counters = server.stop().expect("it ran");
        assert!(counters.commands >= 120_000 && counters.protocol_errors == 0, "{counters:?}");
    }
}

#[test]
fn redis_py() {
    let server = server(Limits::default(), None, 1);
    let installed = Command::new("python3").args(["-c", "import redis"]).output();
    if !installed.is_ok_and(|output| output.status.success()) {
        eprintln!("not run: redis-py is not installed (`pip install redis`)");
        return;
    }
    let script = "
import sys, redis
for protocol in (2, 3):
    r = redis.Redis(port=int(sys.argv[1]), protocol=protocol)
    r.flushdb()
    assert r.set('k', b'v\\x00') and r.get('k') == b'v\\x00'
    assert r.set('k', 'w', nx=True) is None and r.get('none') is None
    with r.pipeline() as p:
        assert p.incr('n').incr('n').get('n').execute() == [1, 2, b'2']
    r.mset({f's{i}': i for i in range(100)})
    assert len(list(r.scan_iter(match='s*', count=7))) == 100
    assert r.expire('k', 100) and 99 <= r.ttl('k') <= 100 and r.type('k') == b'string'
    assert r.info()['redis_version'] and r.config_get('save') == {'save': ''} and r.dbsize() == 102
print('done')
";
    assert_eq!(run(&server, "python3", &["-c", script, "PORT"]).as_deref(), Some("done\n"));
    server.stop().expect("it ran");
}
