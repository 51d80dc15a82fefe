use std::ffi::CString;

use super::*;

#[allow(clippy::mut_from_ref, reason = "one slice at a time, by the tests' own care")]
fn bytes_of(region: &Region) -> &mut [u8] {
    let view = region.view();
    // SAFETY: the tests hold one slice at a time, and the region outlives it.
    unsafe { std::slice::from_raw_parts_mut(view.base().as_ptr(), view.len()) }
}

fn base(bytes: u64) -> RegionRequest {
    RegionRequest::new(bytes).with_pages(PageWish::Exact(PageSize::Base4K))
}

#[test]
fn base_pages_are_always_granted() {
    let region = Region::create(&base(5000)).expect("4 KiB pages");
    assert_eq!((region.granted().bytes, region.granted().pages), (8192, PageSize::Base4K));
    assert!(bytes_of(&region).iter().all(|&byte| byte == 0));
}

#[test]
fn another_mapping_sees_the_same_bytes_and_opening_changes_none() {
    let region = Region::create(&base(1 << 20)).expect("4 KiB pages");
    for (at, byte) in bytes_of(&region).iter_mut().enumerate() {
        *byte = (at % 251) as u8;
    }
    let fd = region.as_fd().try_clone_to_owned().expect("dup");
    let other = Region::open_fd(fd).expect("sealed memfd");
    assert_eq!(other.granted().asked, None);
    assert!(bytes_of(&other).iter().enumerate().all(|(at, &byte)| byte == (at % 251) as u8));
    bytes_of(&other)[77] = 0xee;
    assert_eq!(bytes_of(&region)[77], 0xee);
}

#[test]
fn a_region_cannot_be_cut_short_and_an_unsealed_file_is_refused() {
    let region = Region::create(&base(8192)).expect("4 KiB pages");
    assert!(nix::unistd::ftruncate(region.as_fd(), 4096).is_err());
    let file = tempfile::tempfile().expect("temporary file");
    file.set_len(8192).expect("size");
    assert!(matches!(Region::open_fd(file.into()), Err(RegionError::Unsealed)));
}

#[test]
fn sizes_out_of_range_are_errors() {
    for bytes in [0, MAX_BYTES + 1, u64::MAX] {
        assert!(matches!(Region::create(&base(bytes)), Err(RegionError::BadSize(_))));
    }
}

#[test]
fn a_missing_node_is_an_error_and_the_only_node_is_reported() {
    let mut req = RegionRequest::new(4096);
    req.numa_node = Some(1000);
    let err = Region::create(&req).expect_err("no such node");
    assert!(matches!(err, RegionError::NoSuchNode { node: 1000, .. }), "{err}");
    req.numa_node = Some(0);
    assert_eq!(Region::create(&req).expect("node 0").granted().node, Some(0));
}

#[test]
fn a_short_pool_names_the_command() {
    // More than any test host's pool holds: 1 TiB.
    let req = RegionRequest::new(1 << 40).with_pages(PageWish::Exact(PageSize::Huge2M));
    let err = Region::create(&req).expect_err("no host of ours has 1 TiB of huge pages");
    assert!(matches!(err, RegionError::PoolShort { need: 524_288, .. }), "{err}");
    assert!(err.to_string().contains("> /proc/sys/vm/nr_hugepages"), "{err}");
}

#[test]
fn a_fallback_keeps_its_reason() {
    let region = Region::create(&RegionRequest::new(4 << 20)).expect("some page size");
    let granted = region.granted();
    if granted.pages != PageSize::Huge2M {
        assert!(granted.notes.iter().any(|note| note.contains("nr_hugepages")), "{granted:?}");
    }
    assert_eq!(bytes_of(&region).len(), 4 << 20);
}

#[test]
fn thp_is_granted_only_when_the_kernel_maps_huge_pages() {
    let req = RegionRequest::new(4 << 20).with_pages(PageWish::Exact(PageSize::Thp));
    match Region::create(&req) {
        Ok(region) => assert!(region.mapping.thp_bytes().expect("smaps") > 0),
        Err(err) => println!("skipped: {err}"),
    }
}

#[test]
fn the_record_reads_back_from_json() {
    let region = Region::create(&base(4096)).expect("4 KiB pages");
    let text = serde_json::to_string(region.granted()).expect("JSON");
    assert!(text.contains(r#""pages":{"exact":"4k"}"#), "{text}");
    let back: RegionGranted = serde_json::from_str(&text).expect("JSON");
    assert_eq!(&back, region.granted());
}

#[test]
fn names_are_checked_before_anything_is_made() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut req = RegionRequest::new(4096);
    req.hugetlbfs = Some(dir.path().join("x.pfs"));
    let err = Region::create(&req).expect_err("tmpfs or ext4 is no hugetlbfs");
    assert!(err.to_string().contains("mount -t hugetlbfs"), "{err}");
    assert!(std::fs::read_dir(dir.path()).expect("list").next().is_none());
}

/// A named file takes the place of a stale one, is refused to a second creator, and goes with
/// its region. A directory on any file system serves: the rules are in the lock, not the pages.
#[test]
fn a_named_file_is_locked_while_it_lives() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("lane0.pfs");
    std::fs::write(&path, b"left behind").expect("write");
    let held = NamedFile::create(&path).expect("a stale file is replaced");
    assert_eq!(held.file().metadata().expect("stat").len(), 0);
    assert!(matches!(NamedFile::create(&path), Err(RegionError::InUse { .. })));
    drop(held);
    assert!(!path.exists());
    let foreign = dir.path().join("rtemap_0");
    std::fs::write(&foreign, b"not ours").expect("write");
    assert!(matches!(NamedFile::create(&foreign), Err(RegionError::BadName { .. })));
    assert!(foreign.exists());
}

/// Hugetlb pages, memfd and named, where the host's pool has two free or lets itself be enlarged.
#[test]
fn hugetlb_pages_where_the_pool_has_some() {
    if sys::pool(PageSize::Huge2M).0 < 2 {
        println!("skipped: fewer than 2 free pages; `echo 8 > /proc/sys/vm/nr_hugepages`");
        return;
    }
    let req = RegionRequest::new(2 << 20).with_pages(PageWish::Exact(PageSize::Huge2M));
    let region = Region::create(&req).expect("a page of the pool");
    assert!(region.granted().locked && region.granted().notes.is_empty());
    let other = Region::open_fd(region.as_fd().try_clone_to_owned().expect("dup")).expect("open");
    assert_eq!(other.granted().pages, PageSize::Huge2M);
    named_in_a_mount();
}

fn named_in_a_mount() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let target = CString::new(dir.path().to_str().expect("UTF-8")).expect("no NUL");
    let flags = nix::mount::MsFlags::empty();
    let kind = Some(c"hugetlbfs");
    let mounted = nix::mount::mount(None::<&str>, &*target, kind, flags, Some(c"pagesize=2M"));
    if let Err(err) = mounted {
        println!("skipped: mounting a hugetlbfs: {err}");
        return;
    }
    let mut req = RegionRequest::new(1);
    req.hugetlbfs = Some(dir.path().join("pool.pfs"));
    let made = Region::create(&req).map(|region| {
        let other = Region::open_path(region.path().expect("named")).expect("open by name");
        bytes_of(&region)[5] = 9;
        (bytes_of(&other)[5], other.granted().pages)
    });
    let left = std::fs::read_dir(dir.path()).expect("list").count();
    nix::mount::umount(&*target).expect("unmount");
    assert_eq!(made.expect("a page of the pool"), (9, PageSize::Huge2M));
    assert_eq!(left, 0);
}
