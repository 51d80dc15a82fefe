//! Compiles the shim against the installed headers and names the libraries that it needs.

fn main() {
    println!("cargo::rerun-if-changed=shim");
    #[cfg(feature = "libdpdk")]
    libdpdk::build();
}

#[cfg(feature = "libdpdk")]
mod libdpdk {
    /// What the shim calls. Drivers are shared objects that EAL loads when it starts.
    const LIBRARIES: [&str; 5] = ["rte_ethdev", "rte_mbuf", "rte_mempool", "rte_eal", "rte_kvargs"];

    pub(super) fn build() {
        let mut wish = pkg_config::Config::new();
        let found = wish.cargo_metadata(false).atleast_version("22.11").probe("libdpdk");
        let library = found.unwrap_or_else(|error| {
            panic!("libdpdk 22.11 or later is needed: apt-get install libdpdk-dev\n{error}")
        });
        let mut shim = cc::Build::new();
        shim.files(["shim/eal.c", "shim/port.c", "shim/pool.c"]).std("gnu11").warnings(true);
        for path in &library.include_paths {
            shim.flag("-isystem").flag(path.to_string_lossy().as_ref());
        }
        // The headers ask for the settings of the build, and for the instructions of their own
        // inline functions.
        shim.flag("-include").flag("rte_config.h");
        // `rte_dev_dma_map` has been called experimental since 2018, and is the only way.
        shim.define("ALLOW_EXPERIMENTAL_API", None);
        #[cfg(target_arch = "x86_64")]
        shim.flag("-march=corei7");
        shim.compile("pfs_dpdk_shim");
        for path in &library.link_paths {
            println!("cargo::rustc-link-search=native={}", path.display());
        }
        for name in LIBRARIES {
            println!("cargo::rustc-link-lib=dylib={name}");
        }
    }
}
