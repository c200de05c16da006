"""Times llama.cpp as `smartkv bench` times smartkv, and prints one JSON object.

A prompt grows through all contexts; it is cut into chunks as if it were prefilled alone. Its last
chunk and the decoded tokens are taken out of the cache again before it goes on.
"""

import argparse
import ctypes
import json
import resource
import time

import llama_cpp as llama

KV_TYPES = {
    "f16": llama.GGML_TYPE_F16,
    "q8_0": llama.GGML_TYPE_Q8_0,
    "q4_0": llama.GGML_TYPE_Q4_0,
}
WARM_UP_TOKENS = 64
UNTIMED_TOKENS = 2
PAD = 8  # positions to spare at the end of the cache


def numbers(text):
    return [int(number) for number in text.split(",")]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--kv", choices=KV_TYPES, default="f16")
    parser.add_argument("--contexts", type=numbers, default=[128, 1024, 4096])
    parser.add_argument("--prefill-tokens", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--chunk", type=int, default=512)
    return parser.parse_args()


class Session:
    def __init__(self, args, size):
        # Only results on standard output, and no log: the callback must outlive every call.
        self.log = llama.llama_log_callback(lambda *_: None)
        llama.llama_log_set(self.log, ctypes.c_void_p(0))
        llama.llama_backend_init()
        model = llama.llama_model_default_params()
        model.n_gpu_layers = 0
        self.model = llama.llama_model_load_from_file(args.model.encode(), model)
        if not self.model:
            raise SystemExit(f"llama.cpp cannot load {args.model}")
        context = llama.llama_context_default_params()
        context.n_ctx = size
        context.n_batch = context.n_ubatch = args.chunk
        context.n_threads = context.n_threads_batch = args.threads
        context.type_k = context.type_v = KV_TYPES[args.kv]
        context.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_ENABLED
        self.context = llama.llama_init_from_model(self.model, context)
        if not self.context:
            raise SystemExit(f"llama.cpp cannot make a context of {size} tokens")
        self.memory = llama.llama_get_memory(self.context)

    def run(self, tokens):
        """Runs a batch and returns its time in seconds."""
        batch = (llama.llama_token * len(tokens))(*tokens)
        start = time.perf_counter()
        code = llama.llama_decode(self.context, llama.llama_batch_get_one(batch, len(tokens)))
        llama.llama_synchronize(self.context)
        seconds = time.perf_counter() - start
        if code != 0:
            raise SystemExit(f"llama_decode returned {code}")
        return seconds

    def cut(self, start):
        """Forgets everything from position `start` on."""
        if not llama.llama_memory_seq_rm(self.memory, 0, start, -1):
            raise SystemExit("llama.cpp cannot remove tokens from its cache")


def measure(session, args, tokens):
    at, grown_s, stops = 0, 0.0, []
    for depth in sorted({*args.contexts, args.prefill_tokens}):
        while depth - at > args.chunk:
            grown_s += session.run(tokens[at : at + args.chunk])
            at += args.chunk
        prefill_s = grown_s + session.run(tokens[at:depth])
        decode_s = []
        if depth in args.contexts:
            end = depth + UNTIMED_TOKENS + args.tokens
            times = [session.run([token]) for token in tokens[depth:end]]
            decode_s = times[UNTIMED_TOKENS:]
        session.cut(at)
        stops.append({"context": depth, "prefill_s": prefill_s, "decode_s": decode_s})
    return stops


def main():
    args = arguments()
    longest = max(max(args.contexts) + UNTIMED_TOKENS + args.tokens, args.prefill_tokens)
    session = Session(args, max(longest, WARM_UP_TOKENS + UNTIMED_TOKENS) + PAD)
    # Which tokens does not matter to the speed of a dense model.
    vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(session.model))
    tokens = [(index * 7919 + 101) % vocabulary for index in range(longest + PAD)]
    session.run(tokens[: min(WARM_UP_TOKENS, args.chunk)])
    for token in tokens[:UNTIMED_TOKENS]:
        session.run([token])
    session.cut(0)
    stops = measure(session, args, tokens)
    print(
        json.dumps(
            {
                "version": llama.__version__,
                "system": llama.llama_print_system_info().decode().strip(" |"),
                "kv": args.kv,
                "threads": args.threads,
                "model_bytes": llama.llama_model_size(session.model),
                # Linux counts in KiB.
                "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                "stops": stops,
            }
        )
    )


if __name__ == "__main__":
    main()
