//! What a line can break; the texts are the original's.

/// A line that is no command, or a command with wrong arguments. A server writes the text behind
/// `ERROR,`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each text says what the variant is")]
pub enum GrammarError {
    #[error("unknown_command")]
    UnknownCommand,
    /// A browser can be made to send a page's text here: what follows must not be executed.
    #[error("this is no HTTP server")]
    Http,
    /// A command of the original that this server leaves out.
    #[error("not_available:{0}")]
    NotAvailable(String),
    #[error("missing_value")]
    MissingValue,
    #[error("invalid_size_in_command")]
    InvalidSizeInCommand,
    #[error("value_size_mismatch (expected {expected}, got {got})")]
    ValueSizeMismatch { expected: u64, got: u64 },
    #[error("missing_key")]
    MissingKey,
    #[error("invalid_key_format")]
    InvalidKeyFormat,
    #[error("missing_arguments")]
    MissingArguments,
    #[error("edit_requires_key_and_value")]
    EditRequiresKeyAndValue,
    #[error("pair_set_requires_value_and_key")]
    PairSetRequiresValueAndKey,
    #[error("invalid_absolute_key_format")]
    InvalidAbsoluteKeyFormat,
    #[error("pair_value_cannot_be_empty")]
    PairValueCannotBeEmpty,
    #[error("pair_scan_requires_prefix")]
    PairScanRequiresPrefix,
    #[error("pair_reduce_requires_args")]
    PairReduceRequiresArgs,
    #[error("pair_reduce_requires_mode_and_prefix")]
    PairReduceRequiresModeAndPrefix,
    #[error("unknown_reducer_mode")]
    UnknownReducerMode,
    #[error("missing_job_id")]
    MissingJobId,
    #[error("pair_summary_requires_prefix")]
    PairSummaryRequiresPrefix,
    #[error("invalid_depth")]
    InvalidDepth,
    #[error("invalid_branch_limit")]
    InvalidBranchLimit,
    #[error("pair_purge_requires_prefix")]
    PairPurgeRequiresPrefix,
    #[error("invalid_limit")]
    InvalidLimit,
    /// An argument that the command does not know.
    #[error("unknown_argument {0}")]
    UnknownArgument(String),
    #[error("invalid_hex_value:encoding/hex: invalid byte: {}", code_point(*.0))]
    HexByte(u8),
    #[error("invalid_hex_value:encoding/hex: odd length hex string")]
    HexLength,
    #[error("missing_database_name")]
    MissingDatabaseName,
    #[error("invalid_database_name")]
    InvalidDatabaseName,
    #[error("pair_bytes must be 1 or 2")]
    PairBytes,
    #[error("unknown override {0}")]
    UnknownOverride(String),
    #[error("invalid override {0}")]
    InvalidOverride(String),
    #[error("missing_size")]
    MissingSize,
    #[error("invalid_size")]
    InvalidSize,
    #[error("missing_password")]
    MissingPassword,
}

/// A byte as the original's language shows a code point: its number, and itself when it can be seen.
fn code_point(byte: u8) -> String {
    let seen = matches!(byte, 0x20..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let shown = if seen { format!(" '{}'", char::from(byte)) } else { String::new() };
    format!("U+{byte:04X}{shown}")
}
