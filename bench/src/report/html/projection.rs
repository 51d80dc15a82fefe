//! The projection's form and tables; its arithmetic is the script's, so that inputs can change.

use std::fmt::Write as _;

use super::Text;
use crate::report::projection::Projection;

/// What reading a NIC's queue costs, as others have published it: 43.5 Mpps on a 3.6 GHz core
/// (DPDK, drop) and 20 Mpps (AF_XDP zero-copy), both in the CoNEXT 2018 paper on XDP.
const RECEIVE: [(&str, u32); 3] = [
    ("DPDK, mlx5: 3.6 GHz ÷ 43.5 Mpps (published)", 83),
    ("AF_XDP zero-copy: 3.6 GHz ÷ 20 Mpps (published)", 180),
    ("none: the memory source alone", 0),
];

const WORDS: &str = "<p class=\"banner plain\">A projection from cycles that were measured in \
    memory, not a result on a line: no NIC of these rates was there. Every input can be changed; \
    the arithmetic is below.</p>\n\
    <p>A frame of <i>L</i> bytes takes <i>L</i> + 20 on the wire. A core gives its clock divided by \
    the cycles of a packet: those measured from a source in memory to the digest of its payload, \
    and those of reading the NIC, which were not measured here. Every doubling of the lanes keeps \
    the share given of what it should add. Memory carries each byte of a frame as often as said: \
    twice where payload is read in place (the NIC writes, a core reads), three times with a copy by \
    non-temporal stores, four with an ordinary one. No cache injection is reckoned with. The lowest of line, \
    cores and memory is drawn.</p>\n";

/// Writes the section.
pub(super) fn section(out: &mut String, given: &Projection) {
    out.push_str(
        "<section id=\"projection\">\n<header><h2>Projection to line rates</h2>\
         <span class=\"verdict\">projected, not measured</span></header>\n",
    );
    out.push_str(WORDS);
    form(out, given);
    out.push_str(
        "<figure><figcaption>Rate on the wire by cores (projection)</figcaption>\
         <div class=\"canvas\"></div>\n<details><summary>Data</summary><div class=\"scroll\">\
         <table id=\"projected\"><thead></thead><tbody></tbody></table></div></details></figure>\n\
         <h3>Cores for a line rate</h3>\n<div class=\"scroll\"><table id=\"cores\"><thead><tr>\
         <th>frame</th>",
    );
    for rate in &given.rates {
        let _ = write!(out, "<th class=\"number\">{rate} GbE</th>");
    }
    out.push_str(
        "</tr></thead><tbody></tbody></table></div>\n<h3>Arithmetic</h3>\n<div class=\"scroll\">\
         <table id=\"arithmetic\"><thead><tr><th>target</th><th>packets on the wire</th>\
         <th>one lane</th><th>lanes</th><th>memory</th><th>cores</th></tr></thead>\
         <tbody></tbody></table></div>\n\
         <noscript><p class=\"banner\">The projection is reckoned by this page's script.</p></noscript>\n\
         </section>\n",
    );
}

fn form(out: &mut String, given: &Projection) {
    out.push_str("<form autocomplete=\"off\">\n<label>Layout<select name=\"mode\">");
    for mode in &given.modes {
        let _ = write!(out, "<option value=\"{}\">{}</option>", mode.cores, Text(mode.name));
    }
    out.push_str("</select></label>\n");
    number(out, "ghz", "Clock, GHz (ticks as measured)", given.ghz, "0.1");
    for (at, size) in given.sizes.iter().enumerate() {
        let label = format!("Cycles a packet, {} (measured)", size.name);
        number(out, &format!("cycles{at}"), &label, size.cycles, "0.1");
    }
    out.push_str("<label>Reading the NIC<select name=\"from\">");
    for (name, cycles) in RECEIVE {
        let _ = write!(out, "<option value=\"{cycles}\">{}</option>", Text(name));
    }
    out.push_str("</select></label>\n");
    let receive = f64::from(RECEIVE[0].1);
    number(out, "receive", "Cycles a packet for that", receive, "0");
    number(out, "kept", "Kept by each doubling, % (assumed)", 95.0, "1");
    out.push_str(
        "<label>Payload<select name=\"touches\"><option value=\"2\">read in place: 2 × a byte</option>\
         <option value=\"3\">copied past the cache: 3 ×</option>\
         <option value=\"4\">copied: 4 ×</option></select></label>\n",
    );
    number(out, "channels", "Memory channels (assumed)", 8.0, "1");
    number(out, "channel", "GB/s a channel (DDR5-4800)", 38.4, "0.1");
    number(out, "attained", "Of that attained, % (assumed)", 80.0, "1");
    out.push_str("<button type=\"reset\">As measured</button>\n</form>\n");
}

fn number(out: &mut String, name: &str, label: &str, value: f64, least: &str) {
    let most = if matches!(name, "kept" | "attained") { " max=\"100\"" } else { "" };
    let _ = writeln!(
        out,
        "<label>{}<input type=\"number\" name=\"{name}\" value=\"{value}\" min=\"{least}\"{most} \
         step=\"any\" required></label>",
        Text(label)
    );
}
