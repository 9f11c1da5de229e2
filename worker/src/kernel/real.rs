//! The numbers that kernels compute with: `f32` in use, `f64` in tests against PyTorch's double precision.

use pulp::Simd;

/// A floating-point number that the kernels are written for.
pub trait Real:
    Copy
    + Default
    + PartialOrd
    + Send
    + Sync
    + std::fmt::Debug
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Neg<Output = Self>
    + std::ops::AddAssign
    + std::ops::MulAssign
    + 'static
{
    /// One vector register of the instruction set `S`.
    type Lanes<S: Simd>: Copy + 'static;

    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;

    /// The nearest number to `value`.
    fn of(value: f64) -> Self;
    /// The number as `f64`, exactly.
    fn double(self) -> f64;
    /// `self * factor + summand`, rounded once.
    fn mul_add(self, factor: Self, summand: Self) -> Self;
    /// The square root.
    fn sqrt(self) -> Self;
    /// 1 / (1 + e⁻ˣ).
    fn sigmoid(self) -> Self;
    /// The hyperbolic tangent.
    fn tanh(self) -> Self;

    /// A slice as whole registers and a rest.
    fn lanes<S: Simd>(values: &[Self]) -> (&[Self::Lanes<S>], &[Self]);
    /// A slice as whole registers and a rest.
    fn lanes_mut<S: Simd>(values: &mut [Self]) -> (&mut [Self::Lanes<S>], &mut [Self]);
    /// A slice shorter than a register, as the first lanes of one; the others are zero.
    fn load_short<S: Simd>(simd: S, values: &[Self]) -> Self::Lanes<S>;
    /// The first lanes of a register, to a slice shorter than it.
    fn store_short<S: Simd>(simd: S, values: &mut [Self], lanes: Self::Lanes<S>);
    /// The same number in every lane.
    fn splat<S: Simd>(simd: S, value: Self) -> Self::Lanes<S>;
    /// `a * b + c` in every lane.
    fn fma<S: Simd>(simd: S, a: Self::Lanes<S>, b: Self::Lanes<S>, c: Self::Lanes<S>) -> Self::Lanes<S>;
    /// `a + b` in every lane.
    fn sum<S: Simd>(simd: S, a: Self::Lanes<S>, b: Self::Lanes<S>) -> Self::Lanes<S>;
}

impl Real for f32 {
    type Lanes<S: Simd> = S::f32s;
    const ZERO: f32 = 0.0;
    const ONE: f32 = 1.0;

    #[inline(always)]
    fn of(value: f64) -> f32 {
        value as f32
    }
    #[inline(always)]
    fn double(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn mul_add(self, factor: f32, summand: f32) -> f32 {
        f32::mul_add(self, factor, summand)
    }
    #[inline(always)]
    fn sqrt(self) -> f32 {
        f32::sqrt(self)
    }
    #[inline(always)]
    fn sigmoid(self) -> f32 {
        1.0 / (1.0 + exp(-self))
    }
    /// An odd polynomial near 0, where the other form would cancel; Cephes' `tanhf` (Moshier 1992), error below 3 ulp.
    #[inline(always)]
    fn tanh(self) -> f32 {
        let square = self * self;
        let series = (-5.704_988_7e-3_f32)
            .mul_add(square, 2.063_909e-2)
            .mul_add(square, -5.373_971_6e-2)
            .mul_add(square, 1.333_144_2e-1)
            .mul_add(square, -3.333_328e-1);
        let near = (series * square).mul_add(self, self);
        let far = (1.0 - 2.0 / (exp(2.0 * self.abs()) + 1.0)).copysign(self);
        if self.abs() < 0.625 { near } else { far }
    }
    #[inline(always)]
    fn lanes<S: Simd>(values: &[f32]) -> (&[S::f32s], &[f32]) {
        S::as_simd_f32s(values)
    }
    #[inline(always)]
    fn lanes_mut<S: Simd>(values: &mut [f32]) -> (&mut [S::f32s], &mut [f32]) {
        S::as_mut_simd_f32s(values)
    }
    #[inline(always)]
    fn load_short<S: Simd>(simd: S, values: &[f32]) -> S::f32s {
        simd.partial_load_f32s(values)
    }
    #[inline(always)]
    fn store_short<S: Simd>(simd: S, values: &mut [f32], lanes: S::f32s) {
        simd.partial_store_f32s(values, lanes);
    }
    #[inline(always)]
    fn splat<S: Simd>(simd: S, value: f32) -> S::f32s {
        simd.splat_f32s(value)
    }
    #[inline(always)]
    fn fma<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
        simd.mul_add_f32s(a, b, c)
    }
    #[inline(always)]
    fn sum<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
        simd.add_f32s(a, b)
    }
}

impl Real for f64 {
    type Lanes<S: Simd> = S::f64s;
    const ZERO: f64 = 0.0;
    const ONE: f64 = 1.0;

    #[inline(always)]
    fn of(value: f64) -> f64 {
        value
    }
    #[inline(always)]
    fn double(self) -> f64 {
        self
    }
    #[inline(always)]
    fn mul_add(self, factor: f64, summand: f64) -> f64 {
        f64::mul_add(self, factor, summand)
    }
    #[inline(always)]
    fn sqrt(self) -> f64 {
        f64::sqrt(self)
    }
    #[inline(always)]
    fn sigmoid(self) -> f64 {
        1.0 / (1.0 + (-self).exp())
    }
    #[inline(always)]
    fn tanh(self) -> f64 {
        f64::tanh(self)
    }
    #[inline(always)]
    fn lanes<S: Simd>(values: &[f64]) -> (&[S::f64s], &[f64]) {
        S::as_simd_f64s(values)
    }
    #[inline(always)]
    fn lanes_mut<S: Simd>(values: &mut [f64]) -> (&mut [S::f64s], &mut [f64]) {
        S::as_mut_simd_f64s(values)
    }
    #[inline(always)]
    fn load_short<S: Simd>(simd: S, values: &[f64]) -> S::f64s {
        simd.partial_load_f64s(values)
    }
    #[inline(always)]
    fn store_short<S: Simd>(simd: S, values: &mut [f64], lanes: S::f64s) {
        simd.partial_store_f64s(values, lanes);
    }
    #[inline(always)]
    fn splat<S: Simd>(simd: S, value: f64) -> S::f64s {
        simd.splat_f64s(value)
    }
    #[inline(always)]
    fn fma<S: Simd>(simd: S, a: S::f64s, b: S::f64s, c: S::f64s) -> S::f64s {
        simd.mul_add_f64s(a, b, c)
    }
    #[inline(always)]
    fn sum<S: Simd>(simd: S, a: S::f64s, b: S::f64s) -> S::f64s {
        simd.add_f64s(a, b)
    }
}

/// eˣ from additions, multiplications and the bits of the exponent, so that it vectorises and is the same on every machine; Cephes'
/// `expf` (Moshier 1992), error below 2 ulp. What lies outside ±87 is taken as ±87, far beyond where a sigmoid has saturated.
/// A NaN stays one.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// 1.5 · 2²³: adding it rounds to a whole number, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts, the first one short, so that its multiples are exact.
    const LN_2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];
    let bounded = x.clamp(-87.0, 87.0);
    let shifted = bounded.mul_add(std::f32::consts::LOG2_E, ROUND);
    let whole = shifted - ROUND;
    let rest = whole.mul_add(-LN_2[1], whole.mul_add(-LN_2[0], bounded));
    let series = 1.987_569_2e-4_f32
        .mul_add(rest, 1.398_199_9e-3)
        .mul_add(rest, 8.333_452e-3)
        .mul_add(rest, 4.166_579_6e-2)
        .mul_add(rest, 1.666_666_5e-1)
        .mul_add(rest, 0.5);
    let mantissa = series.mul_add(rest * rest, rest) + 1.0;
    let power = f32::from_bits(shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23);
    mantissa * power
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the f64 functions of the platform's library, over every magnitude that matters and the ends.
    #[test]
    fn activations_agree_with_double_precision_to_a_few_units_in_the_last_place() {
        let mut x = -100.0_f32;
        while x < 100.0 {
            for value in [x, x * 1e-3] {
                let exact = (f64::from(value).tanh(), 1.0 / (1.0 + (-f64::from(value)).exp()));
                let found = (f64::from(Real::tanh(value)), f64::from(Real::sigmoid(value)));
                assert!((found.0 - exact.0).abs() <= 4.0 * f64::from(f32::EPSILON) * exact.0.abs(), "tanh {value}");
                // Beyond ±87 the exponential is bounded.
                let smallest = 2.0 * f64::from(f32::MIN_POSITIVE);
                assert!(
                    (found.1 - exact.1).abs() <= 4.0 * f64::from(f32::EPSILON) * exact.1 + smallest,
                    "sigmoid {value}"
                );
            }
            x += 0.0137;
        }
    }

    #[test]
    fn not_a_number_stays_one_and_infinity_saturates() {
        assert!(Real::tanh(f32::NAN).is_nan() && Real::sigmoid(f32::NAN).is_nan());
        assert_eq!((Real::tanh(f32::INFINITY), Real::tanh(f32::NEG_INFINITY)), (1.0, -1.0));
        assert_eq!(Real::sigmoid(f32::INFINITY), 1.0);
        assert!(Real::sigmoid(f32::NEG_INFINITY) < 1e-37);
    }
}
