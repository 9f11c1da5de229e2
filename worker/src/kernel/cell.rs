//! What a recurrent cell is: the arithmetic of one time step, forward and backward.

use super::Real;

/// The arithmetic of one time step of one sample. Gates lie one after another in a row of `GATES * hidden` numbers. Units are taken
/// in blocks ([`super::block`]).
pub trait Cell: Send + Sync + std::fmt::Debug + 'static {
    /// Gates, each with its own rows in the weights.
    const GATES: usize;
    /// Numbers per unit that a step keeps for the next one or for the way back.
    const MEMORY: usize;
    /// Whether the way back differs between the input's and the state's side of the gates.
    const SPLIT: bool;

    /// From the gates' sums to the new state, for the `N` units from `at` on, or as many as are left.
    fn forward<R: Real, const N: usize>(step: &mut Forward<'_, R>, at: usize);
    /// From the gradient at the new state to the gradients at the gates and at the old state, for the same.
    fn backward<R: Real, const N: usize>(step: &mut Backward<'_, R>, at: usize);
}

/// One step forward of one sample.
#[derive(Debug)]
pub struct Forward<'a, R> {
    /// In: the recurrent product W_hh h. Out: the gates' activations. `[gate]`.
    pub gates: &'a mut [R],
    /// The input's product W_ih x̂, `[gate]`.
    pub projection: &'a [R],
    /// What the projection is multiplied with (γ at this step).
    pub scale: R,
    /// What is added on the input's side: b_ih, and β times the sums of W_ih's rows; b_hh too, unless the cell is [`Cell::SPLIT`].
    /// `[gate]`.
    pub offset: &'a [R],
    /// b_hh, which split cells keep apart, `[gate]`.
    pub state_bias: &'a [R],
    /// The state before, `[hidden]`.
    pub state_before: &'a [R],
    /// The memory before, `[MEMORY * hidden]`.
    pub memory_before: &'a [R],
    /// The new state, `[hidden]`.
    pub state: &'a mut [R],
    /// The new memory, `[MEMORY * hidden]`.
    pub memory: &'a mut [R],
}

/// One step back of one sample.
#[derive(Debug)]
pub struct Backward<'a, R> {
    /// In: activations. Out: loss gradient at the gates, on the input's side. `[gate]`.
    pub gates: &'a mut [R],
    /// Out, where the cell is [`Cell::SPLIT`]: loss gradient at the gates on the state's side. `[gate]`.
    pub state_gates: &'a mut [R],
    /// Loss gradient at the new state, `[hidden]`.
    pub state_gradient: &'a [R],
    /// In: what later steps say about the memory; out: what earlier ones are told. `[hidden]`.
    pub memory_gradient: &'a mut [R],
    /// Out, where the cell is [`Cell::SPLIT`]: the part of the gradient that reaches the old state past the gates. `[hidden]`.
    pub direct: &'a mut [R],
    /// The state before, `[hidden]`.
    pub state_before: &'a [R],
    /// The memory before, `[MEMORY * hidden]`.
    pub memory_before: &'a [R],
    /// The new memory, `[MEMORY * hidden]`.
    pub memory: &'a [R],
}
