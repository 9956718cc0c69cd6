// Cooperative matrices of 8 x 8: f16 operands, f32 sums. A workgroup's tile is four of them high and four wide.
enable f16;
enable subgroups;
enable wgpu_cooperative_matrix;

alias Left = coop_mat8x8<f16, A>;
alias Right = coop_mat8x8<f16, B>;
alias Sum = coop_mat8x8<f32, C>;

const SIDE = 8u;
const TILE = 4u * SIDE;
