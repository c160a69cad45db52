from torch import nn


class ModelNew(nn.Module):
    def forward(self, logits, target):
        shifted = logits - logits.amax(dim=-1, keepdim=True)
        lse = shifted.exp().sum(dim=-1).log_()
        wanted = shifted.gather(1, target[:, None]).squeeze(1)
        return lse - 0.9 * wanted - 0.1 * shifted.mean(dim=-1)
