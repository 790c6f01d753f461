//! Matrix products of bfloat16 on the tile unit of Intel's processors (AMX): a tile has sixteen rows and sixteen
//! columns.
//!
//! One instruction adds the products of thirty-two terms, a *run*, to a tile: it sums the even terms in order, and the
//! odd ones, then adds the two sums to each other and to the tile (Intel 64 and IA-32 Architectures Software
//! Developer's Manual, TDPBF16PS). The bits therefore differ from those of other processors, which sum pair by pair.
//!
//! The right operand is read in place, sixteen pairs of rows of a panel as one tile. The left one is copied into tiles
//! once: for every sixteen rows and every run, the sixteen pairs of each row follow each other.

/// The number of rows of a tile, and of pairs in a run.
pub const SIDE: usize = 16;

/// The number of pairs in a tile.
const TILE: usize = SIDE * SIDE;

/// The number of rows of a product that are summed together, in two tiles.
pub const HEIGHT: usize = 2 * SIDE;

/// Returns the number of runs that `terms` terms take.
fn runs(terms: usize) -> usize {
    terms.div_ceil(2 * SIDE)
}

/// Returns the number of pairs that a left operand of `rows` rows and `terms` terms takes in tiles.
#[must_use]
pub fn tiled_len(rows: usize, terms: usize) -> usize {
    rows.div_ceil(SIDE) * runs(terms) * TILE
}

/// Returns true if this processor has the tile unit and the system lets this process use it.
#[must_use]
pub fn is_available() -> bool {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    return unit::is_available();
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
    false
}

/// Copies a left operand into tiles, with zeros beyond its last row and term. `pair(q, first)` returns the pairs of
/// terms 2q and 2q + 1 of the sixteen rows that begin at row `first`, zero beyond the last row.
pub fn to_tiles(
    (rows, terms): (usize, usize),
    tiles: &mut [u32],
    pair: impl Fn(usize, usize) -> [u32; SIDE],
) {
    let tiles = tiles.chunks_exact_mut(TILE);
    let places = (0..rows)
        .step_by(SIDE)
        .flat_map(|first| (0..runs(terms)).map(move |run| (first, run * SIDE)));
    for ((first, start), tile) in places.zip(tiles) {
        let mut pairs = [[0; SIDE]; SIDE];
        let count = SIDE.min(terms.div_ceil(2) - start);
        for (q, pairs) in pairs[..count].iter_mut().enumerate() {
            *pairs = pair(start + q, first);
        }
        for (row, tile) in tile.chunks_exact_mut(SIDE).enumerate() {
            for (out, pairs) in tile.iter_mut().zip(&pairs) {
                *out = pairs[row];
            }
        }
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub use unit::{Tiles, panel_product};

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[allow(
    unsafe_code,
    reason = "neither a crate nor the stable standard library offers the unit's instructions"
)]
mod unit {
    use std::arch::asm;
    use std::marker::PhantomData;
    use std::sync::OnceLock;

    use super::{HEIGHT, SIDE, TILE, runs};
    use crate::kernels::tile::{PANEL, PanelProduct};

    /// Asks the system to save the tiles of all threads of this process (Linux's arch_prctl, `ARCH_REQ_XCOMP_PERM` for
    /// `XFEATURE_XTILEDATA`); returns true if it agrees.
    fn request_tiles() -> bool {
        const ASK: libc::c_int = 0x1023;
        const TILES: libc::c_long = 18;
        // SAFETY: two plain numbers, and an answer; nothing of this process is read or written.
        unsafe { libc::syscall(libc::SYS_arch_prctl, ASK, TILES) == 0 }
    }

    pub fn is_available() -> bool {
        static THERE: OnceLock<bool> = OnceLock::new();
        *THERE.get_or_init(|| {
            let wide = is_x86_feature_detected!("avx512f");
            let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
            wide && cpuinfo.split_whitespace().any(|flag| flag == "amx_bf16") && request_tiles()
        })
    }

    /// The unit's configuration, palette 1: eight tiles of sixteen rows of 64 bytes.
    #[repr(C, align(64))]
    struct Shapes([u8; 64]);

    static SHAPES: Shapes = {
        let mut bytes = [0; 64];
        bytes[0] = 1;
        let mut tile = 0;
        while tile < 8 {
            bytes[16 + 2 * tile] = 64;
            bytes[48 + tile] = 16;
            tile += 1;
        }
        Shapes(bytes)
    };

    /// The sums of 32 rows on a panel.
    #[repr(C, align(64))]
    struct Sums([[f32; PANEL]; HEIGHT]);

    /// The rows of a panel that do not fill a run, followed by zeros.
    #[repr(C, align(64))]
    struct Rest([[u32; PANEL]; SIDE]);

    /// Computes c_i <- keep c_i + scale sum_k a_ki b_k on one panel, with a in tiles and the rows of b in pairs, on the
    /// calling thread alone.
    ///
    /// # Panics
    /// If the unit is not available.
    pub fn panel_product(product: PanelProduct<f32>) {
        assert!(is_available());
        // SAFETY: the processor has what the function was compiled for, and the unit, asserted just now.
        unsafe { tiles(product) }
    }

    #[target_feature(enable = "avx512f")]
    fn tiles(mut product: PanelProduct<f32>) {
        let (a, b): (&[u32], &[u32]) = (
            bytemuck::cast_slice(product.a),
            bytemuck::cast_slice(product.b),
        );
        let full_runs = b.len() / (SIDE * PANEL);
        let row_of_tiles = runs(2 * b.len().div_ceil(PANEL)) * TILE;
        let (b, left) = b.split_at(full_runs * SIDE * PANEL);
        let mut rest = Rest([[0; PANEL]; SIDE]);
        rest.0.as_flattened_mut()[..left.len()].copy_from_slice(left);
        let rest = (!left.is_empty()).then_some(&rest);
        let mut sums = Sums([[0.0; PANEL]; HEIGHT]);
        for first in (0..product.rows).step_by(HEIGHT) {
            let rows = HEIGHT.min(product.rows - first);
            let a = &a[first / SIDE * row_of_tiles..][..rows.div_ceil(SIDE) * row_of_tiles];
            // If there is no second tile, the first is read twice.
            add_up([a, &a[a.len() - row_of_tiles..]], b, rest, &mut sums);
            for (row, sums) in sums.0[..rows].iter().enumerate() {
                product.put(first + row, sums);
            }
        }
    }

    /// Sums twice sixteen rows over the runs `b` and then over `rest`. The unit must be available. Long because it is one
    /// assembly program.
    fn add_up([first, second]: [&[u32]; 2], b: &[u32], rest: Option<&Rest>, sums: &mut Sums) {
        let full_runs = b.len() / (SIDE * PANEL);
        let read = (full_runs + usize::from(rest.is_some())) * TILE;
        assert!(first.len() >= read && second.len() >= read, "a tile a run");
        let rest = rest.map_or(std::ptr::null(), |rest| rest.0.as_ptr());
        // SAFETY: it reads as many numbers of all as was asserted, and writes all of `sums`. The compiler uses no tiles of its
        // own, so none needs to be kept from it; they are released after their use, since a thread that holds some is slower
        // to switch.
        unsafe {
            asm!(
                "ldtilecfg [{shapes}]",
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "test {runs}, {runs}",
                "jz 3f",
                "2:",
                "tileloadd tmm6, [{b} + {of_b}*1]",
                "tileloadd tmm4, [{first} + {of_a}*1]",
                "tileloadd tmm7, [{b} + {of_b}*1 + 64]",
                "tileloadd tmm5, [{second} + {of_a}*1]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {first}, 1024",
                "add {second}, 1024",
                "add {b}, 2048",
                "dec {runs}",
                "jnz 2b",
                "3:", // once more for the rest
                "test {rest}, {rest}",
                "jz 4f",
                "mov {b}, {rest}",
                "xor {rest}, {rest}",
                "mov {runs}, 1",
                "jmp 2b",
                "4:",
                "tilestored [{sums} + {of_b}*1], tmm0",
                "tilestored [{sums} + {of_b}*1 + 64], tmm1",
                "tilestored [{sums} + {of_b}*1 + 2048], tmm2",
                "tilestored [{sums} + {of_b}*1 + 2112], tmm3",
                "tilerelease",
                shapes = in(reg) &raw const SHAPES,
                first = inout(reg) first.as_ptr() => _,
                second = inout(reg) second.as_ptr() => _,
                b = inout(reg) b.as_ptr() => _,
                rest = inout(reg) rest => _,
                runs = inout(reg) full_runs => _,
                sums = in(reg) &raw mut *sums,
                of_a = in(reg) 64_usize,
                of_b = in(reg) 128_usize,
                options(nostack),
            );
        }
    }

    /// A thread's hold on the unit, from `hold` until it is dropped. No other function of this module may be called
    /// meanwhile.
    #[derive(Debug)]
    pub struct Tiles(PhantomData<*const ()>); // it is the thread's own

    impl Tiles {
        /// Configures the unit for this thread; returns None if it is not available.
        pub fn hold() -> Option<Self> {
            is_available().then(|| {
                // SAFETY: the unit is there; it reads the shapes alone.
                unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const SHAPES, options(nostack)) };
                Self(PhantomData)
            })
        }

        /// Computes sums for four places, sixteen units and sixteen samples: biases + sum_k a_ki b_k. `counts` holds
        /// the number of runs of rows of b and the number of tiles of a run; one run begins `down` rows after the one
        /// before; `starts` are the first rows of the places. The weights are stored tile by tile.
        /// Long because it is one assembly program.
        pub fn windows(
            &mut self,
            (counts, down): ([usize; 2], usize),
            (weights, biases): (&[u32], &[f32]),
            (b, starts): (&[[u32; SIDE]], [usize; 4]),
            sums: &mut [[[f32; SIDE]; SIDE]; 4],
        ) {
            let [runs, tiles] = counts;
            let last = starts.into_iter().max().unwrap_or(0) + (runs - 1) * down + tiles * SIDE;
            assert!(runs > 0 && tiles > 0 && last <= b.len(), "rows to read");
            assert!(weights.len() >= runs * tiles * TILE && biases.len() >= TILE);
            let [first, second, third, fourth] = starts.map(|start| b[start..].as_ptr());
            let skip = (64 * down).wrapping_sub(1024 * tiles);
            // SAFETY: it reads as many numbers of all as was asserted, and writes all of `sums`; the unit is held.
            unsafe {
                asm!(
                    "tileloadd tmm0, [{count} + {of_row}*1]",
                    "tileloadd tmm1, [{count} + {of_row}*1]",
                    "tileloadd tmm2, [{count} + {of_row}*1]",
                    "tileloadd tmm3, [{count} + {of_row}*1]",
                    "2:",
                    "mov {count}, {tiles}",
                    "3:",
                    "tileloadd tmm4, [{a} + {of_row}*1]",
                    "tileloadd tmm5, [{first} + {of_row}*1]",
                    "tileloadd tmm6, [{second} + {of_row}*1]",
                    "tdpbf16ps tmm0, tmm4, tmm5",
                    "tileloadd tmm7, [{third} + {of_row}*1]",
                    "tdpbf16ps tmm1, tmm4, tmm6",
                    "tileloadd tmm5, [{fourth} + {of_row}*1]",
                    "tdpbf16ps tmm2, tmm4, tmm7",
                    "tdpbf16ps tmm3, tmm4, tmm5",
                    "add {a}, 1024",
                    "add {first}, 1024",
                    "add {second}, 1024",
                    "add {third}, 1024",
                    "add {fourth}, 1024",
                    "dec {count}",
                    "jnz 3b",
                    "add {first}, {skip}",
                    "add {second}, {skip}",
                    "add {third}, {skip}",
                    "add {fourth}, {skip}",
                    "dec {runs}",
                    "jnz 2b",
                    "tilestored [{sums} + {of_row}*1], tmm0",
                    "tilestored [{sums} + {of_row}*1 + 1024], tmm1",
                    "tilestored [{sums} + {of_row}*1 + 2048], tmm2",
                    "tilestored [{sums} + {of_row}*1 + 3072], tmm3",
                    count = inout(reg) biases.as_ptr() => _,
                    tiles = in(reg) tiles,
                    runs = inout(reg) runs => _,
                    a = inout(reg) weights.as_ptr() => _,
                    first = inout(reg) first => _,
                    second = inout(reg) second => _,
                    third = inout(reg) third => _,
                    fourth = inout(reg) fourth => _,
                    skip = in(reg) skip,
                    sums = in(reg) &raw mut *sums,
                    of_row = in(reg) 64_usize,
                    options(nostack),
                );
            }
        }
    }

    impl Drop for Tiles {
        fn drop(&mut self) {
            // SAFETY: the unit is there; a thread that holds its tiles is slower to switch.
            unsafe { asm!("tilerelease", options(nomem, nostack)) };
        }
    }
}
