// Cooperative matrices of 16 x 16: f16 operands, f32 sums. A workgroup's tile is four of them high and four wide.
enable f16;
enable subgroups;
enable wgpu_cooperative_matrix;

alias Left = coop_mat16x16<f16, A>;
alias Right = coop_mat16x16<f16, B>;
alias Sum = coop_mat16x16<f32, C>;

const SIDE = 16u;
const TILE = 4u * SIDE;
