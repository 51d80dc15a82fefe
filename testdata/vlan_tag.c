/* tc programs that put VLAN tags on what leaves a link and take them off what enters it, for
 * record.sh: kernels without the 8021q module still tag real traffic this way.
 * TCI = priority (3 bits) << 13 | drop eligible << 12 | VLAN id (12 bits). */
#define SECTION(name) __attribute__((section(name), used))
#define BE16(x) __builtin_bswap16(x)
#define TAG_8021Q BE16(0x8100)
#define TAG_8021AD BE16(0x88a8)

static long (*vlan_push)(void *skb, unsigned short proto_be, unsigned short tci) = (void *)18;
static long (*vlan_pop)(void *skb) = (void *)19;

SECTION("vlan10") int push_vlan10(void *skb)
{
    vlan_push(skb, TAG_8021Q, 10);
    return 0;
}

SECTION("vlan20") int push_vlan20_priority5(void *skb)
{
    vlan_push(skb, TAG_8021Q, 5 << 13 | 20);
    return 0;
}

SECTION("qinq") int push_qinq_100_30(void *skb)
{
    vlan_push(skb, TAG_8021Q, 30);
    vlan_push(skb, TAG_8021AD, 3 << 13 | 100);
    return 0;
}

SECTION("pop1") int pop_one(void *skb)
{
    vlan_pop(skb);
    return 0;
}

SECTION("pop2") int pop_two(void *skb)
{
    vlan_pop(skb);
    vlan_pop(skb);
    return 0;
}
