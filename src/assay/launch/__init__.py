"""How a device kernel is launched, as data: a candidate of device code brings a plan, and no host code of its own."""
