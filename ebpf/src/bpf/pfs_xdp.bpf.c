// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0
//
// Steers each frame by the first rule that matches: to the queue's AF_XDP socket, to the
// kernel's stack, or nowhere. What the rules mean is written in ../rules.rs; the layouts that
// user space shares are mirrored in ../abi.rs.
//
// Two programs from one body: `pfs_xdp_frags` takes frames over several buffers (MTU 9000;
// Linux 5.18), `pfs_xdp` is for older kernels, 5.10 on. Loops are bounded, no helper is newer
// than 5.3 but bpf_xdp_get_buff_len in the first.
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MAX_RULES 64
#define MAX_QUEUES 256
#define RULE_SLOTS (2 * MAX_RULES)
#define MAX_TAGS 2
#define MAX_EXTENSIONS 6
// No header starts beyond this byte: 14 + 2 tags + 40 + 6 extension headers of 2048.
#define MAX_OFFSET 12350

#define PORT_NONE 0x10000
#define PROTOCOL_UNKNOWN 0x100
#define VLAN_NONE 0xffff

enum verdict { REDIRECT, NO_SOCKET, PASS, DROP, UNMATCHED, MALFORMED, VERDICTS };
enum action { ACTION_REDIRECT, ACTION_PASS, ACTION_DROP };
enum field { FIELD_ETHER_TYPE = 1, FIELD_VLAN = 2, FIELD_PROTOCOL = 4, FIELD_PORTS = 8 };

struct count {
	__u64 packets;
	__u64 bytes;
};

struct counts {
	struct count by[VERDICTS];
};

// Addresses are in network order, source then destination; an IPv4 address fills the first four
// bytes of its sixteen. The other fields are in host order.
struct rule {
	__u64 addr[4];
	__u64 mask[4];
	__u16 ether_type;
	__u16 vlan;
	__u16 port_first;
	__u16 port_last;
	__u8 protocol;
	__u8 action;
	__u8 fields;
	__u8 unused[5];
};

struct table {
	__u32 rules;
	__u32 unused;
	struct rule rule[MAX_RULES];
};

struct facts {
	__u64 addr[4];
	__u32 ether_type;
	__u32 vlan[MAX_TAGS];
	__u32 protocol;
	__u32 port;
};

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, MAX_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} pfs_sockets SEC(".maps");

// Whether a queue's frames go to its socket: a word that user space clears when it wants no more, and is
// not allowed to take the socket out.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MAX_QUEUES);
	__type(key, __u32);
	__type(value, __u64);
} pfs_open SEC(".maps");

// Two tables: one is read while the other is written.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct table);
} pfs_tables SEC(".maps");

// Which table is read.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} pfs_active SEC(".maps");

// Counters are arrays that user space maps and reads as memory: bpf(2) is refused to whoever has given
// its capabilities up, before Linux 5.19. Each CPU has a row of its own, so that none writes what
// another does; user space says at load how many rows there are.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MAX_QUEUES);
	__type(key, __u32);
	__type(value, struct counts);
} pfs_queue_count SEC(".maps");

// Rule i of table t counts in slot t * MAX_RULES + i of a row.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, RULE_SLOTS);
	__type(key, __u32);
	__type(value, struct counts);
} pfs_rule_count SEC(".maps");

// The frame as the walk sees it: `at` is the byte that comes next, `end` the byte behind the IP
// packet by its own header.
struct walk {
	void *head;
	void *head_end;
	__u32 frame_len;
	__u32 at;
	__u32 end;
};

// Whether `n` bytes at `w->at` are in the head; then `p` points to them. (No null pointer for
// "no": clang takes packet addresses for 32 bits wide and would compare only those.) The verifier
// forgets the range of an offset that went through memory, so it is stated again, out of clang's
// sight.
static __always_inline int has(const struct walk *w, __u32 n, __u8 **p)
{
	__u32 at = w->at;

	asm volatile("" : "+r"(at));
	if (at > MAX_OFFSET)
		return 0;
	*p = (__u8 *)w->head + at;
	return (void *)(*p + n) <= w->head_end;
}

// Plain loads, since a copy of unknown alignment becomes one load a byte. Headers are on even
// bytes at least, and where the hardware wants more the verifier refuses the program.
typedef __u16 __attribute__((may_alias)) half_word;
typedef __u32 __attribute__((may_alias)) word;
typedef __u64 __attribute__((may_alias)) double_word;

static __always_inline __u32 be16(const __u8 *p)
{
	return bpf_ntohs(*(const half_word *)p);
}

static __always_inline int is_tag(__u32 type)
{
	return type == 0x8100 || type == 0x88a8 || type == 0x9100;
}

static __always_inline int is_extension(__u32 next)
{
	return next == 0 || next == 43 || next == 44 || next == 51 || next == 60;
}

// Smallest header of a protocol that has ports, else 0.
static __always_inline __u32 smallest(__u32 protocol)
{
	switch (protocol) {
	case 6:
		return 20;
	case 17:
	case 136:
		return 8;
	case 132:
		return 12;
	default:
		return 0;
	}
}

// Below, each function returns 0, or -1 for a malformed frame.

static __always_inline int ethernet(struct walk *w, struct facts *f)
{
	__u8 *p;

	if (!has(w, 14, &p))
		return -1;
	f->ether_type = be16(p + 12);
	w->at = 14;
#pragma unroll
	for (int i = 0; i < MAX_TAGS; i++) {
		if (!is_tag(f->ether_type))
			return 0;
		if (!has(w, 4, &p))
			return -1;
		f->vlan[i] = be16(p) & 0xfff;
		f->ether_type = be16(p + 2);
		w->at += 4;
	}
	return 0;
}

static __always_inline void ports(const struct walk *w, struct facts *f)
{
	__u32 need = smallest(f->protocol);
	__u8 *p;

	if (!need || w->at + need > w->end)
		return;
	// One constant size a branch: the verifier wants to see what was checked.
	if (need == 20 ? has(w, 20, &p) : need == 12 ? has(w, 12, &p) : has(w, 8, &p))
		f->port = be16(p + 2);
}

static __always_inline int ipv4(struct walk *w, struct facts *f)
{
	__u8 *p;

	if (!has(w, 20, &p))
		return -1;
	__u32 header = (p[0] & 0xf) * 4;
	__u32 total = be16(p + 2);
	if (p[0] >> 4 != 4 || header < 20 || total < header || total > w->frame_len - w->at)
		return -1;
	f->addr[0] = *(word *)(p + 12);
	f->addr[2] = *(word *)(p + 16);
	f->protocol = p[9];
	__u32 later_fragment = be16(p + 6) & 0x1fff;
	w->end = w->at + total;
	w->at += header;
	if (!has(w, 0, &p))
		return -1;
	if (!later_fragment)
		ports(w, f);
	return 0;
}

static __always_inline int ipv6(struct walk *w, struct facts *f)
{
	__u8 *p;

	if (!has(w, 40, &p))
		return -1;
	__u32 total = 40 + be16(p + 4);
	if (p[0] >> 4 != 6 || total > w->frame_len - w->at)
		return -1;
	f->addr[0] = *(double_word *)(p + 8);
	f->addr[1] = *(double_word *)(p + 16);
	f->addr[2] = *(double_word *)(p + 24);
	f->addr[3] = *(double_word *)(p + 32);
	w->end = w->at + total;
	w->at += 40;

	__u32 next = p[6];
	for (int i = 0; i < MAX_EXTENSIONS && is_extension(next); i++) {
		if (!has(w, 8, &p))
			return -1;
		__u32 length = next == 44 ? 8 : next == 51 ? 4 * (p[1] + 2) : 8 * (p[1] + 1);
		__u32 later_fragment = next == 44 && (be16(p + 2) & 0xfff8);
		next = p[0];
		w->at += length;
		if (w->at > w->end || !has(w, 0, &p))
			return -1;
		if (later_fragment) {
			f->protocol = next;
			return 0;
		}
	}
	if (!is_extension(next)) {
		f->protocol = next;
		ports(w, f);
	}
	return 0;
}

static __always_inline int parse(struct walk *w, struct facts *f)
{
	if (ethernet(w, f))
		return -1;
	if (f->ether_type == 0x0800)
		return ipv4(w, f);
	if (f->ether_type == 0x86dd)
		return ipv6(w, f);
	return 0;
}

static __always_inline int matches(const struct rule *r, const struct facts *f)
{
	__u64 off = 0;

#pragma unroll
	for (int i = 0; i < 4; i++)
		off |= (f->addr[i] ^ r->addr[i]) & r->mask[i];
	if (off)
		return 0;
	if (r->fields & FIELD_ETHER_TYPE && f->ether_type != r->ether_type)
		return 0;
	if (r->fields & FIELD_VLAN && f->vlan[0] != r->vlan && f->vlan[1] != r->vlan)
		return 0;
	if (r->fields & FIELD_PROTOCOL && f->protocol != r->protocol)
		return 0;
	return !(r->fields & FIELD_PORTS) || (f->port >= r->port_first && f->port <= r->port_last);
}

// Counts in slot `slot` of this CPU's row; rows have `slots` slots.
static __always_inline void add(void *map, __u32 slots, __u32 slot, __u32 verdict, __u32 frame_len)
{
	if (slot >= slots || verdict >= VERDICTS)
		return;
	slot += bpf_get_smp_processor_id() * slots;
	struct counts *c = bpf_map_lookup_elem(map, &slot);

	if (!c)
		return;
	c->by[verdict].packets++;
	c->by[verdict].bytes += frame_len;
}

static __always_inline int apply(__u32 action, __u32 queue, __u32 *verdict)
{
	int code = XDP_PASS;

	if (action == ACTION_REDIRECT) {
		__u64 *open = bpf_map_lookup_elem(&pfs_open, &queue);

		// Looks the socket up by itself, and answers XDP_PASS where there is none.
		if (open && *open)
			code = bpf_redirect_map(&pfs_sockets, queue, XDP_PASS);
		*verdict = code == XDP_REDIRECT ? REDIRECT : NO_SOCKET;
	} else if (action == ACTION_DROP) {
		code = XDP_DROP;
		*verdict = DROP;
	} else {
		*verdict = PASS;
	}
	return code;
}

// First rule of the active table that matches: its counter slot in `slot`, its action returned;
// -1 when none does.
static __always_inline int first_match(const struct facts *f, __u32 *slot)
{
	__u32 zero = 0;
	__u32 *active = bpf_map_lookup_elem(&pfs_active, &zero);

	if (!active)
		return -1;
	__u32 bank = *active & 1;
	struct table *t = bpf_map_lookup_elem(&pfs_tables, &bank);
	if (!t)
		return -1;
	for (__u32 i = 0; i < MAX_RULES; i++) {
		if (i >= t->rules)
			return -1;
		if (matches(&t->rule[i], f)) {
			*slot = bank * MAX_RULES + i;
			return t->rule[i].action;
		}
	}
	return -1;
}

static __always_inline int steer(struct xdp_md *ctx, __u32 frame_len)
{
	struct walk w = {
		.head = (void *)(long)ctx->data,
		.head_end = (void *)(long)ctx->data_end,
		.frame_len = frame_len,
	};
	struct facts f = {
		.vlan = { VLAN_NONE, VLAN_NONE },
		.protocol = PROTOCOL_UNKNOWN,
		.port = PORT_NONE,
	};
	__u32 queue = ctx->rx_queue_index;
	__u32 verdict = UNMATCHED;
	int code = XDP_PASS;

	if (parse(&w, &f)) {
		verdict = MALFORMED;
	} else {
		__u32 slot = 0;
		int action = first_match(&f, &slot);

		if (action >= 0) {
			code = apply(action, queue, &verdict);
			add(&pfs_rule_count, RULE_SLOTS, slot, verdict, frame_len);
		}
	}
	add(&pfs_queue_count, MAX_QUEUES, queue, verdict, frame_len);
	return code;
}

SEC("xdp.frags")
int pfs_xdp_frags(struct xdp_md *ctx)
{
	return steer(ctx, bpf_xdp_get_buff_len(ctx));
}

SEC("xdp")
int pfs_xdp(struct xdp_md *ctx)
{
	return steer(ctx, (void *)(long)ctx->data_end - (void *)(long)ctx->data);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
