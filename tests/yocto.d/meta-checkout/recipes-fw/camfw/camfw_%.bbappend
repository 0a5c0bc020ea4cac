require camfw-checkout.inc
