"""The class that the first users of this kind of program wrote, with its imports at their present places."""

from __future__ import annotations

SKELETON = """\
from orchestrator import BaseScriptlet, Context, get_logger, track_resources
import json, sys, argparse, statistics, pathlib

logger = get_logger(__name__)

class ComputeMedian(BaseScriptlet):
    def validate(self, ctx, params):
        if not isinstance(params, dict): raise ValueError("params must be dict")
        if "src" not in params: raise ValueError("missing src")
        if not pathlib.Path(params["src"]).is_file(): raise ValueError("file not found")

    @track_resources
    def run(self, ctx, params):
        try:
            self.validate(ctx, params)
            with open(params["src"]) as file:
                nums = [float(line.strip()) for line in file if line.strip()]
            med = statistics.median(nums)
            result = {"median": med, "count": len(nums)}
            ctx.set("numbers.median_v1", result, who="compute_median")
            print(json.dumps({"status":"ok","outputs":["numbers.median_v1"]}))
            return 0
        except Exception as e:
            print(json.dumps({"status":"error","reason":str(e),"exit_code":1,"step":"compute_median"}))
            return 1

if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("--params", required=True)
    p = json.loads(ap.parse_args().params)
    sys.exit(ComputeMedian().run(Context(), p))
"""
