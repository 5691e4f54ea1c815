"""What operators see and decide: peers, participants in quarantine, alerts, and the reasons they gave."""
