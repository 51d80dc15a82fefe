//! Frames as bytes: header parse, rules and flow hash.
