package millrace;

/** A row of an answer, or what goes from one task to another. */
public class Row {
  public long a;
  public long b;
  public long c;
  public long d;
  public String name = "";

  public Row() {}

  public Row(long a, long b, long c, long d) {
    this.a = a;
    this.b = b;
    this.c = c;
    this.d = d;
  }

  public Row(long a, long b, String name) {
    this(a, b, 0, 0);
    this.name = name;
  }
}
