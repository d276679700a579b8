"""One service, or several: demand every interval, instances that boot, are billed and queue work."""
