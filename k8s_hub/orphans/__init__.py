"""orphans: pods, Secrets and Services of spawners whose server the hub does not have, or has stopped.

`plan` judges them (pure), `reconciler` looks for them in the hub's process. ``k8s-hub orphans`` uses both. Claims never count.
"""
