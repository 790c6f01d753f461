//! The number type that a precision stands for.

/// Evaluates `body` with the type `T` being the number type of a `Precision`: f32 for single and mixed, f64 for double.
///
/// ```
/// use eki_mpi::config::Precision;
/// use eki_mpi::with_precision;
///
/// let bytes = with_precision!(Precision::Mixed, T => size_of::<T>());
/// assert_eq!(bytes, 4);
/// ```
#[macro_export]
macro_rules! with_precision {
    ($precision:expr, $T:ident => $body:expr) => {
        match $precision {
            $crate::config::Precision::Single | $crate::config::Precision::Mixed => {
                type $T = f32;
                $body
            }
            $crate::config::Precision::Double => {
                type $T = f64;
                $body
            }
        }
    };
}
