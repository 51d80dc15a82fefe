//! The commands of Redis that are served.

/// Declares the commands: name, variant, arity (as Redis counts: with the name; negative for at least),
/// flags, first key, last key, step.
macro_rules! commands {
    ($($name:literal $variant:ident $arity:literal $flags:literal $keys:expr;)*) => {
        /// A command that is served.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(in crate::servers) enum Name { $($variant,)* }

        /// What clients may ask about each command.
        pub(in crate::servers) const COMMANDS: &[Command] = &[$(Command {
            name: $name,
            which: Name::$variant,
            arity: $arity,
            flags: $flags,
            keys: $keys,
        },)*];

        /// The command that `word` names, in any case.
        pub(in crate::servers) fn named(word: &[u8]) -> Option<&'static Command> {
            let mut lower = [0_u8; 16];
            let lower = lower.get_mut(..word.len())?;
            lower.copy_from_slice(word);
            lower.make_ascii_lowercase();
            let name = match std::str::from_utf8(lower).ok()? {
                $($name => Name::$variant,)*
                _ => return None,
            };
            COMMANDS.get(name as usize)
        }
    };
}

/// What is known of a command.
#[derive(Clone, Copy, Debug)]
pub(in crate::servers) struct Command {
    pub(in crate::servers) name: &'static str,
    pub(in crate::servers) which: Name,
    pub(in crate::servers) arity: i32,
    pub(in crate::servers) flags: &'static str,
    /// First key, last key, step between keys.
    pub(in crate::servers) keys: [i32; 3],
}

impl Command {
    /// Whether it may have so many arguments, its name included.
    pub(in crate::servers) fn takes(&self, args: usize) -> bool {
        let least = self.arity.unsigned_abs() as usize;
        if self.arity < 0 { args >= least } else { args == least }
    }
}

commands! {
    "get" Get 2 "readonly fast" [1, 1, 1];
    "set" Set -3 "write denyoom" [1, 1, 1];
    "mget" MGet -2 "readonly fast" [1, -1, 1];
    "mset" MSet -3 "write denyoom" [1, -1, 2];
    "del" Del -2 "write" [1, -1, 1];
    "unlink" Unlink -2 "write fast" [1, -1, 1];
    "exists" Exists -2 "readonly fast" [1, -1, 1];
    "incr" Incr 2 "write denyoom fast" [1, 1, 1];
    "decr" Decr 2 "write denyoom fast" [1, 1, 1];
    "incrby" IncrBy 3 "write denyoom fast" [1, 1, 1];
    "decrby" DecrBy 3 "write denyoom fast" [1, 1, 1];
    "setnx" SetNx 3 "write denyoom fast" [1, 1, 1];
    "setex" SetEx 4 "write denyoom" [1, 1, 1];
    "psetex" PSetEx 4 "write denyoom" [1, 1, 1];
    "getdel" GetDel 2 "write fast" [1, 1, 1];
    "getset" GetSet 3 "write denyoom fast" [1, 1, 1];
    "strlen" StrLen 2 "readonly fast" [1, 1, 1];
    "type" Type 2 "readonly fast" [1, 1, 1];
    "ttl" Ttl 2 "readonly fast" [1, 1, 1];
    "pttl" PTtl 2 "readonly fast" [1, 1, 1];
    "expiretime" ExpireTime 2 "readonly fast" [1, 1, 1];
    "pexpiretime" PExpireTime 2 "readonly fast" [1, 1, 1];
    "expire" Expire -3 "write fast" [1, 1, 1];
    "pexpire" PExpire -3 "write fast" [1, 1, 1];
    "expireat" ExpireAt -3 "write fast" [1, 1, 1];
    "pexpireat" PExpireAt -3 "write fast" [1, 1, 1];
    "persist" Persist 2 "write fast" [1, 1, 1];
    "scan" Scan -2 "readonly" [0, 0, 0];
    "dbsize" DbSize 1 "readonly fast" [0, 0, 0];
    "flushdb" FlushDb -1 "write" [0, 0, 0];
    "flushall" FlushAll -1 "write" [0, 0, 0];
    "multi" Multi 1 "fast" [0, 0, 0];
    "exec" Exec 1 "" [0, 0, 0];
    "discard" Discard 1 "fast" [0, 0, 0];
    "select" Select 2 "fast" [0, 0, 0];
    "ping" Ping -1 "fast" [0, 0, 0];
    "echo" Echo 2 "fast" [0, 0, 0];
    "time" Time 1 "fast" [0, 0, 0];
    "info" Info -1 "" [0, 0, 0];
    "config" Config -2 "admin" [0, 0, 0];
    "command" Describe -1 "" [0, 0, 0];
    "client" Client -2 "" [0, 0, 0];
    "hello" Hello -1 "no-auth fast" [0, 0, 0];
    "auth" Auth -2 "no-auth fast" [0, 0, 0];
    "reset" Reset 1 "no-auth fast" [0, 0, 0];
    "quit" Quit -1 "no-auth fast" [0, 0, 0];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_by_its_name() {
        for (index, command) in COMMANDS.iter().enumerate() {
            assert_eq!(command.which as usize, index);
            assert_eq!(named(command.name.to_uppercase().as_bytes()).unwrap().name, command.name);
            assert!(command.name.len() <= 16);
        }
        for word in [&b""[..], b"ge", b"gets", b"\xff\xff\xff", b"a_word_longer_than_any_command"] {
            assert!(named(word).is_none());
        }
    }

    #[test]
    fn arity_counts_the_name() {
        let get = named(b"Get").unwrap();
        assert!(get.takes(2) && !get.takes(1) && !get.takes(3));
        let set = named(b"sEt").unwrap();
        assert!(set.takes(3) && set.takes(9) && !set.takes(2));
    }
}
