import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;

/** Puts the tab-separated keys of each line of standard input into a HashMap, and writes them in its order. */
public class MapOrder {
    public static void main(String[] arguments) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, "UTF-8");
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            HashMap<String, Boolean> map = new HashMap<>();
            for (String key : line.split("\t", -1)) {
                map.put(key, true);
            }
            out.println(String.join("\t", map.keySet()));
        }
        out.flush();
    }
}
