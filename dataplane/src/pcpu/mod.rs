//! The pCPU: payload operations, their programs and kernels.
