"""Tokens per second of PyTorch on one CPU thread, for the network of operators/lstm.

The same network, batch and steps as BenchmarkTorch in operators/lstm. Prints one line a
measurement, in the form of "go test -bench".
"""
import time

import torch
from torch import nn

VOCAB, EMBED, HIDDEN, COND, BATCH, STEPS = 1000, 32, 128, 45, 16, 12


class Writer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, EMBED)
        self.lstm = nn.LSTM(EMBED + COND, HIDDEN, batch_first=True)
        self.out = nn.Linear(HIDDEN + COND, VOCAB)

    def forward(self, tokens, cond, state=None):
        c = cond[:, None, :].expand(-1, tokens.shape[1], -1)
        h, state = self.lstm(torch.cat([self.embed(tokens), c], 2), state)
        return self.out(torch.cat([h, c], 2)), state


def measure(name, tokens, run, seconds=4.0):
    for _ in range(5):
        run()
    n, wall, cpu = 0, time.perf_counter(), time.process_time()
    while time.process_time() - cpu < seconds:
        run()
        n += 1
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{name} {n} {n * tokens / cpu:.0f} tokens/cpu-s {n * tokens / wall:.0f} tokens/s", flush=True)


def main():
    torch.manual_seed(1)
    torch.set_num_threads(1)
    model = Writer()
    adam = torch.optim.Adam(model.parameters(), lr=6e-3)
    line = torch.randint(VOCAB, (BATCH, STEPS + 1))
    cond = torch.randn(BATCH, COND)

    def train():
        adam.zero_grad()
        logits, _ = model(line[:, :-1], cond)
        loss = nn.functional.cross_entropy(logits.reshape(-1, VOCAB), line[:, 1:].reshape(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()

    def infer(lanes):
        token, state = line[:lanes, :1], None
        with torch.inference_mode():
            for _ in range(STEPS):
                logits, state = model(token, cond[:lanes], state)
                token = logits[:, -1:].argmax(2)

    print("torch", torch.__version__)
    measure("train/16", BATCH * STEPS, train)
    measure("infer/16", BATCH * STEPS, lambda: infer(16))
    measure("infer/4", 4 * STEPS, lambda: infer(4))
    measure("infer/1", STEPS, lambda: infer(1))


if __name__ == "__main__":
    main()
