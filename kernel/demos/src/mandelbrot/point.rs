//! How soon points leave: by one number after the other, and by as many at a time as the CPU's
//! vector registers hold.
#![allow(unsafe_code)] // A function is called that only some CPUs can execute.

/// What [`row`] computes: the part of the plane, and in how many points and steps.
#[derive(Clone, Copy)]
pub struct Picture {
    pub width: usize,
    pub height: usize,
    /// A point that has not left after so many steps never does.
    pub most: u32,
}

impl Picture {
    fn x(&self, column: usize) -> f64 {
        column as f64 * 3.0 / self.width as f64 - 2.2
    }
    fn y(&self, row: usize) -> f64 {
        row as f64 * 2.4 / self.height as f64 - 1.2
    }
}

/// After how many steps each point of a row leaves. `lanes`: by vectors, if this CPU has them; the
/// answer is the same to the bit.
pub fn row(picture: &Picture, row: usize, lanes: bool) -> impl Iterator<Item = u32> {
    let (picture, y, by_four) = (*picture, picture.y(row), lanes && has_lanes());
    (0..picture.width).step_by(4).flat_map(move |column| {
        let xs = [0, 1, 2, 3].map(|n| picture.x(column + n));
        let four =
            if by_four { four(xs, y, picture.most) } else { xs.map(|x| one(x, y, picture.most)) };
        four.into_iter().take(picture.width - column)
    })
}

fn one(cx: f64, cy: f64, most: u32) -> u32 {
    let (mut x, mut y) = (0.0, 0.0);
    for step in 0..most {
        let (xx, yy) = (x * x, y * y);
        if xx + yy > 4.0 {
            return step;
        }
        (x, y) = (xx - yy + cx, (x + x) * y + cy);
    }
    most
}

#[cfg(target_feature = "sse2")]
mod lanes {
    use core::arch::x86_64::*;

    // Whether the CPU has AVX, and the kernel or Linux saves it.
    cpufeatures::new!(avx, "avx");

    /// Whether this CPU has four lanes.
    pub fn has_lanes() -> bool {
        avx::get()
    }

    /// [`one`](super::one), four times.
    pub fn four(cx: [f64; 4], cy: f64, most: u32) -> [u32; 4] {
        assert!(has_lanes());
        // SAFETY: the CPU has AVX.
        unsafe { by_avx(cx, cy, most) }
    }

    #[target_feature(enable = "avx")]
    fn by_avx(cx: [f64; 4], cy: f64, most: u32) -> [u32; 4] {
        let (cx, cy) = (_mm256_set_pd(cx[3], cx[2], cx[1], cx[0]), _mm256_set1_pd(cy));
        let (four, one) = (_mm256_set1_pd(4.0), _mm256_set1_pd(1.0));
        let (mut x, mut y) = (_mm256_setzero_pd(), _mm256_setzero_pd());
        let mut steps = _mm256_setzero_pd();
        for _ in 0..most {
            let (xx, yy) = (_mm256_mul_pd(x, x), _mm256_mul_pd(y, y));
            // One that has left does not come back.
            let here = _mm256_cmp_pd::<_CMP_LE_OQ>(_mm256_add_pd(xx, yy), four);
            if _mm256_movemask_pd(here) == 0 {
                break;
            }
            steps = _mm256_add_pd(steps, _mm256_and_pd(here, one));
            y = _mm256_add_pd(_mm256_mul_pd(_mm256_add_pd(x, x), y), cy);
            x = _mm256_add_pd(_mm256_sub_pd(xx, yy), cx);
        }
        let (low, high) = (_mm256_castpd256_pd128(steps), _mm256_extractf128_pd::<1>(steps));
        let pair =
            |two| [_mm_cvtsd_f64(two) as u32, _mm_cvtsd_f64(_mm_unpackhi_pd(two, two)) as u32];
        let ([a, b], [c, d]) = (pair(low), pair(high));
        [a, b, c, d]
    }
}

#[cfg(not(target_feature = "sse2"))]
mod lanes {
    pub fn has_lanes() -> bool {
        false
    }
    pub fn four(_: [f64; 4], _: f64, _: u32) -> [u32; 4] {
        unreachable!("there are no lanes")
    }
}

use lanes::four;
pub use lanes::has_lanes;
