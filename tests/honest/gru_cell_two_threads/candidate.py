from concurrent.futures import ThreadPoolExecutor

import torch
from torch import nn


class ModelNew(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(256, 256)
        self._pool = None

    def forward(self, x, state):
        if self._pool is None:
            self._pool = ThreadPoolExecutor(max_workers=1)
        cell = self.cell
        with torch.no_grad():
            ours = self._pool.submit(torch.addmm, cell.bias_hh.detach(), state, cell.weight_hh.detach().t())
            from_x = torch.addmm(cell.bias_ih, x, cell.weight_ih.t())
            from_state = ours.result()
            reset_x, update_x, new_x = from_x.chunk(3, dim=1)
            reset_s, update_s, new_s = from_state.chunk(3, dim=1)
            reset = torch.sigmoid(reset_x + reset_s)
            update = torch.sigmoid(update_x + update_s)
            return torch.lerp(torch.tanh(new_x + reset * new_s), state, update)
