"""Training a policy on preference pairs.

    process.train(spec)  starts  child.py, a process that holds the models and runs  run.run(spec):
        sides.py     which side of a pair is trained as chosen
        tokens.py    pairs -> token ids, and the pairs that cannot be used
        dpo.py       TRL's DPOTrainer with the loss of  loss.py  and the settings of  settings.py
        sft.py       the same with the NLL of the chosen answers alone: the paper's baseline
        work.py      what an interrupted run leaves and goes on from
        adapters.py  LoRA, and the folders of the trained policy

`spec` and `process` import no torch. To know the method, read loss.py.
"""
