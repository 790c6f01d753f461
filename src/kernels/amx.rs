//! The matrix unit of Intel's processors (AMX): products of bfloat16, a tile of sixteen rows by sixteen columns at once.
//!
//! One instruction adds to a tile the products of thirty-two terms, a *run*: the even ones are summed one after the
//! other, the odd ones too, then both sums are added to each other and to the tile (Intel 64 and IA-32 Architectures
//! Software Developer's Manual, TDPBF16PS). So the bits differ from those of other processors, which sum pair by pair.
//!
//! The right operand is read where it stands, sixteen pairs of rows of a panel a tile. The left one is put in tiles once:
//! for every sixteen rows, for every run, each row's sixteen pairs side by side.

/// Rows of a tile, and the pairs of a run.
pub const SIDE: usize = 16;

/// Numbers of a tile.
const TILE: usize = SIDE * SIDE;

/// Rows of a product that are summed together, in two tiles.
pub const HEIGHT: usize = 2 * SIDE;

/// Runs that `terms` terms take.
fn runs(terms: usize) -> usize {
    terms.div_ceil(2 * SIDE)
}

/// Numbers of a left operand of `rows` rows and `terms` terms in tiles.
#[must_use]
pub fn numbers(rows: usize, terms: usize) -> usize {
    rows.div_ceil(SIDE) * runs(terms) * TILE
}

/// Whether this processor has it and the system lets this process use it.
#[must_use]
pub fn is_there() -> bool {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    return unit::is_there();
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
    false
}

/// Puts a left operand in tiles, zeros where none of its numbers stands: `pair` tells the pair of terms 2q and 2q + 1 of
/// the sixteen rows from number `first` on, zero beyond the last.
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

    /// The system keeps the tiles of a process that asks for them (Linux's arch_prctl, `ARCH_REQ_XCOMP_PERM` for
    /// `XFEATURE_XTILEDATA`), those of all its threads.
    fn granted() -> bool {
        const ASK: libc::c_int = 0x1023;
        const TILES: libc::c_long = 18;
        // SAFETY: two plain numbers, and an answer; nothing of this process is read or written.
        unsafe { libc::syscall(libc::SYS_arch_prctl, ASK, TILES) == 0 }
    }

    pub fn is_there() -> bool {
        static THERE: OnceLock<bool> = OnceLock::new();
        *THERE.get_or_init(|| {
            let wide = is_x86_feature_detected!("avx512f");
            let told = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
            wide && told.split_whitespace().any(|flag| flag == "amx_bf16") && granted()
        })
    }

    /// Palette 1: eight tiles of sixteen rows of 64 bytes.
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

    /// Sums of 32 rows on a panel.
    #[repr(C, align(64))]
    struct Sums([[f32; PANEL]; HEIGHT]);

    /// Less than a run's rows of a panel, zeros after them.
    #[repr(C, align(64))]
    struct Rest([[u32; PANEL]; SIDE]);

    /// c_i <- keep c_i + scale sum_k a_ki b_k on one panel, a in tiles and b's rows in pairs; on the calling thread alone.
    ///
    /// # Panics
    /// Where the unit is not there.
    pub fn panel_product(product: PanelProduct<f32>) {
        assert!(is_there());
        // SAFETY: the processor has what the function was compiled for, and the unit, asserted just now.
        unsafe { tiles(product) }
    }

    #[target_feature(enable = "avx512f")]
    fn tiles(mut product: PanelProduct<f32>) {
        let (a, b): (&[u32], &[u32]) = (
            bytemuck::cast_slice(product.a),
            bytemuck::cast_slice(product.b),
        );
        let whole = b.len() / (SIDE * PANEL);
        let of_tile = runs(2 * b.len().div_ceil(PANEL)) * TILE;
        let (b, left) = b.split_at(whole * SIDE * PANEL);
        let mut rest = Rest([[0; PANEL]; SIDE]);
        rest.0.as_flattened_mut()[..left.len()].copy_from_slice(left);
        let rest = (!left.is_empty()).then_some(&rest);
        let mut sums = Sums([[0.0; PANEL]; HEIGHT]);
        for first in (0..product.rows).step_by(HEIGHT) {
            let rows = HEIGHT.min(product.rows - first);
            let a = &a[first / SIDE * of_tile..][..rows.div_ceil(SIDE) * of_tile];
            // Where there is no second tile, the first is read twice.
            add_up([a, &a[a.len() - of_tile..]], b, rest, &mut sums);
            for (row, sums) in sums.0[..rows].iter().enumerate() {
                product.put(first + row, sums);
            }
        }
    }

    /// The sums of twice sixteen rows on the runs `b`, and then on `rest`; the unit is there.
    fn add_up([first, second]: [&[u32]; 2], b: &[u32], rest: Option<&Rest>, sums: &mut Sums) {
        let whole = b.len() / (SIDE * PANEL);
        let read = (whole + usize::from(rest.is_some())) * TILE;
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
                runs = inout(reg) whole => _,
                sums = in(reg) &raw mut *sums,
                of_a = in(reg) 64_usize,
                of_b = in(reg) 128_usize,
                options(nostack),
            );
        }
    }

    /// This thread's hold on the unit, from `hold` to its end. No other function of this module may be called meanwhile.
    #[derive(Debug)]
    pub struct Tiles(PhantomData<*const ()>); // it is the thread's own

    impl Tiles {
        /// The unit made ready, where it is there.
        pub fn hold() -> Option<Self> {
            is_there().then(|| {
                // SAFETY: the unit is there; it reads the shapes alone.
                unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const SHAPES, options(nostack)) };
                Self(PhantomData)
            })
        }

        /// For four places the sums of sixteen units on sixteen samples, biases + sum_k a_ki b_k. `counts` are runs of
        /// rows of b, and tiles of a run; from run to run it goes `down` rows; the places' first ones are `starts`. The
        /// weights stand tile by tile.
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
